//! Fetching memory before it is needed, so that nobody waits for it.
//!
//! What a scan has learned, and the event IDs that it has seen, are tables of megabytes that are looked up in no order: nearly every look-up
//! waits for memory as long as a text of a thousand bytes takes to be read. Who knows early where he will look, says so here.

/// Begins to bring near what stands there, and does not wait for it. A hint: it changes nothing, and does nothing on processors other than x86-64.
#[inline(always)]
pub(crate) fn fetch<T>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse2) = fearless_simd::Level::baseline().as_sse2() {
        prefetch(sse2, std::ptr::from_ref(what).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline(always)]
    fn prefetch(sse2: Sse2, at: *const i8) {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at);
    }
);
