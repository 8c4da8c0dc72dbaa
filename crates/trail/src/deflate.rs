//! Deflate (RFC 1951) decoded in steps, so that each part of a text can be looked at while it is still in the processor's caches.
//!
//! *Why not by libdeflate*: it decodes a file in one go, and the text then comes back from memory farther away
//! (`docs/decisions/0012-a-file-is-inflated-in-steps.md`, which also says what to measure before the inner loop is changed). *Why a mistake here
//! does no harm*: what comes out counts only if it has the length and the checksum that the file says and ends where the file ends; any other
//! file is read by libdeflate, from its beginning.
//!
//! Numbers in comments are of RFC 1951's sections.

use std::ops::Range;

use fearless_simd::{Level, Simd, dispatch};

/// How far back a match may reach (3.2.5). So much stands before what is decoded, so that no match can reach farther than there is something.
const HISTORY: usize = 32 * 1024;

/// The most that is decoded in one step, but for a little more.
pub(crate) const STEP: usize = 64 * 1024;

/// What may be written behind the end of a step: a last match and two literals, and what is copied in vain.
const SPARE: usize = 384;

/// What is read and written in one step.
const END: usize = HISTORY + STEP;
type Window = [u8; END + SPARE];

/// So much of the text can be kept from one step to the next: more than the 256 KB that a record of CloudTrail has at most.
const KEPT: usize = 264 * 1024;

/// Room for that, and for a step wherever it begins its last window. Small enough to stay in the second-level cache beside what the text's
/// reader looks up, and large enough that what is moved to the front is little of what goes through.
const BUFFER_BYTES: usize = KEPT - HISTORY + STEP + size_of::<Window>();

/// What is copied at once.
const PART: usize = 32;

/// Bits that tell nearly every symbol of a literal or length, and of a distance. Longer codes are rare.
const LITERAL_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 9;

/// Codes have at most so many bits (3.2.7).
const MAX_CODE_BITS: usize = 15;

const LITERALS: usize = 288;
const DISTANCES: usize = 32;
const END_OF_BLOCK: usize = 256;

const LEAST_LENGTH: usize = 3;
const MOST_LENGTH: usize = 258;

/// The lengths of codes for code lengths stand in this order (3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// What some bits mean.
///
/// From the lowest: 6 bits, how many bits it takes; [`Entry::MORE`], behind a bit that is not used; 6, how many of the bits are codes;
/// [`Entry::LONG`]; [`Entry::MATCH`]; 8, the first literal; 8, the second one, or the shortest length less 3. Of a distance, the upper 16 are the
/// shortest one. Each number stands where the processor takes it from without a mask.
#[derive(Clone, Copy)]
struct Entry(u32);

impl Entry {
    /// One literal more: the second of two, or the one before a match.
    const MORE: u32 = 1 << 7;
    /// Neither literals nor a match: a longer code, the end of a block, or none.
    const LONG: u32 = 1 << 14;
    /// After its literals, if any, a match.
    const MATCH: u32 = 1 << 15;
    const NONE: Entry = Entry(Entry::LONG | Entry::MATCH);

    /// What a symbol means, but for its code's length.
    fn of_literal(symbol: usize) -> Entry {
        match symbol {
            0..END_OF_BLOCK => Entry((symbol as u32) << 16),
            END_OF_BLOCK => Entry::NONE,
            _ => {
                // 3.2.5: four symbols each for one bit more, from the ninth on; one for the longest; the last two are none.
                let symbol = symbol as u32 - 257;
                let extra = (symbol / 4).saturating_sub(1);
                match symbol {
                    0..4 => Entry(Entry::MATCH | symbol << 24),
                    4..28 => Entry(Entry::MATCH | extra | (4 + symbol % 4) << extra << 24),
                    28 => Entry(Entry::MATCH | 255 << 24),
                    _ => Entry::NONE,
                }
            }
        }
    }

    /// Likewise, of a distance. (3.2.5: two symbols each for one bit more, from the fifth on; the last two are none.)
    fn of_distance(symbol: usize) -> Entry {
        let symbol = symbol as u32;
        let extra = (symbol / 2).saturating_sub(1);
        match symbol {
            0..4 => Entry((symbol + 1) << 16),
            4..30 => Entry(extra | (((2 + symbol % 2) << extra) + 1) << 16),
            _ => Entry::NONE,
        }
    }

    /// With a code of so many bits.
    fn coded(self, bits: u32) -> Entry {
        if self.is_long() { self } else { Entry(self.0 + (bits | bits << 8)) }
    }

    /// What to add to a literal that this follows.
    fn second(self) -> u32 {
        match self {
            _ if self.is_long() => 0,
            _ if self.is_match() => self.0 + Entry::MORE,
            Entry(literal) => (literal & 0xffff) + Entry::MORE + (literal >> 16 << 24),
        }
    }

    fn is_long(self) -> bool {
        self.0 & Entry::LONG != 0
    }

    fn is_match(self) -> bool {
        self.0 & Entry::MATCH != 0
    }

    fn is_literal(self) -> bool {
        self.0 & (Entry::LONG | Entry::MATCH) == 0
    }

    /// How many literals stand beside the one, or the match, that it is.
    fn more(self) -> usize {
        usize::from(self.0 & Entry::MORE != 0)
    }

    /// What follows its codes, of the bits that it was looked up by.
    fn extra(self, bits: u64) -> usize {
        let taken = bits ^ bits.wrapping_shr(self.0).wrapping_shl(self.0);
        taken.wrapping_shr(self.0 >> 8) as usize
    }

    fn length(self, bits: u64) -> usize {
        LEAST_LENGTH + (self.0 >> 24) as usize + self.extra(bits)
    }

    fn distance(self, bits: u64) -> usize {
        (self.0 >> 16) as usize + self.extra(bits)
    }
}

/// A prefix code as its lengths define it (3.2.2).
struct Code<const SYMBOLS: usize> {
    /// How many codes there are of each length, and of each the first one, and where its symbol stands in `symbols`.
    counts: [u32; MAX_CODE_BITS + 1],
    firsts: [u32; MAX_CODE_BITS + 1],
    places: [usize; MAX_CODE_BITS + 1],
    /// By length, and in order; first those without a code.
    symbols: [u16; SYMBOLS],
    /// Their codes as they stand in the bits that are read, the first one lowest.
    codes: [u16; SYMBOLS],
}

impl<const SYMBOLS: usize> Code<SYMBOLS> {
    const fn new() -> Code<SYMBOLS> {
        Code {
            counts: [0; MAX_CODE_BITS + 1],
            firsts: [0; MAX_CODE_BITS + 1],
            places: [0; MAX_CODE_BITS + 1],
            symbols: [0; SYMBOLS],
            codes: [0; SYMBOLS],
        }
    }

    /// Reads the lengths. Nothing where there are more codes than bits can tell.
    fn define(&mut self, lengths: &[u8]) -> Option<()> {
        self.counts = [0; MAX_CODE_BITS + 1];
        for length in lengths {
            self.counts[usize::from(*length)] += 1;
        }
        let (mut first, mut place) = (0, self.counts[0] as usize);
        for bits in 1..=MAX_CODE_BITS {
            let count = self.counts[bits] as usize;
            first *= 2;
            (self.firsts[bits], self.places[bits]) = (first, place);
            for (number, code) in (first as u16..).zip(self.codes.get_mut(place..place + count)?) {
                *code = number.reverse_bits() >> (u16::BITS - bits as u32);
            }
            first += self.counts[bits];
            place += count;
            if first > 1 << bits {
                return None;
            }
        }
        let mut next = self.places;
        for (symbol, length) in (0..).zip(lengths) {
            let next = &mut next[usize::from(*length)];
            self.symbols[*next] = symbol;
            *next += 1;
        }
        Some(())
    }

    /// Where the codes of so many bits stand.
    #[inline(always)]
    fn of_length(&self, bits: u32) -> Range<usize> {
        let place = self.places[bits as usize];
        place..place + self.counts[bits as usize] as usize
    }

    /// Adds the codes of so many bits to a table of those with fewer.
    #[inline(always)]
    fn add(&self, bits: u32, table: &mut [Entry], meanings: &[Entry]) {
        // What a bit more can be does not matter to those that are told apart already.
        let half = 1 << (bits - 1);
        table.copy_within(..half, half);
        let each = self.of_length(bits);
        for (code, symbol) in self.codes[each.clone()].iter().zip(&self.symbols[each]) {
            table[usize::from(*code)] = meanings[usize::from(*symbol)].coded(bits);
        }
    }

    /// A table of all that can be read in so many bits, as its length says.
    fn fill(&self, table: &mut [Entry], meanings: &[Entry]) {
        table[0] = Entry::NONE;
        for bits in 1..=table.len().ilog2() {
            self.add(bits, table, meanings);
        }
    }

    /// The symbol that these bits begin with, and its code's length, if it has so many bits or more.
    fn symbol(&self, bits: u64, least: u32) -> Option<(usize, u32)> {
        let turned = (bits as u32).reverse_bits();
        (least..=MAX_CODE_BITS as u32).find_map(|length| {
            let number = (turned >> (u32::BITS - length)).checked_sub(self.firsts[length as usize])?;
            let is_one = number < self.counts[length as usize];
            let place = self.places[length as usize] + number as usize;
            is_one.then(|| (usize::from(self.symbols[place]), length))
        })
    }
}

/// What a block's bits mean.
struct Tables {
    literals: [Entry; 1 << LITERAL_BITS],
    distances: [Entry; 1 << DISTANCE_BITS],
    literal_code: Code<LITERALS>,
    distance_code: Code<DISTANCES>,
    literal_meanings: [Entry; LITERALS],
    distance_meanings: [Entry; DISTANCES],
}

impl Tables {
    fn new() -> Tables {
        Tables {
            literals: [Entry::NONE; 1 << LITERAL_BITS],
            distances: [Entry::NONE; 1 << DISTANCE_BITS],
            literal_code: Code::new(),
            distance_code: Code::new(),
            literal_meanings: std::array::from_fn(Entry::of_literal),
            distance_meanings: std::array::from_fn(Entry::of_distance),
        }
    }

    fn define(&mut self, literals: &[u8], distances: &[u8]) -> Option<()> {
        self.literal_code.define(literals)?;
        self.distance_code.define(distances)?;
        self.distance_code.fill(&mut self.distances, &self.distance_meanings);
        let Tables { literals: table, literal_code: code, literal_meanings: meanings, .. } = self;
        // What each code means by itself, and behind a literal.
        let mut alone = [Entry::NONE; LITERALS];
        let mut behind = [0; LITERALS];
        for bits in 1..LITERAL_BITS {
            for place in code.of_length(bits) {
                alone[place] = meanings[usize::from(code.symbols[place])].coded(bits);
                behind[place] = alone[place].second();
            }
        }
        table[0] = Entry::NONE;
        for bits in 1..=LITERAL_BITS {
            code.add(bits, table, meanings);
            for first in 1..bits {
                let (ones, others) = (code.of_length(first), code.of_length(bits - first));
                if ones.is_empty() || others.is_empty() {
                    continue;
                }
                let (seconds, others) = (&behind[others.clone()], &code.codes[others]);
                let literals = code.codes[ones.clone()].iter().zip(&alone[ones]);
                for (one, literal) in literals.take_while(|(_, entry)| entry.is_literal()) {
                    for (other, second) in others.iter().zip(seconds) {
                        let place = usize::from(*one) | usize::from(*other) << first;
                        table[place % (1 << LITERAL_BITS)] = Entry(literal.0 + second);
                    }
                }
            }
        }
        Some(())
    }

    #[cold]
    #[inline(never)]
    fn long_literal(&self, bits: u64) -> Entry {
        let symbol = self.literal_code.symbol(bits, LITERAL_BITS + 1);
        symbol.map_or(Entry::NONE, |(symbol, length)| self.literal_meanings[symbol].coded(length))
    }

    #[cold]
    #[inline(never)]
    fn long_distance(&self, bits: u64) -> Entry {
        let symbol = self.distance_code.symbol(bits, DISTANCE_BITS + 1);
        symbol.map_or(Entry::NONE, |(symbol, length)| self.distance_meanings[symbol].coded(length))
    }
}

/// Bits that were read and not taken yet.
#[derive(Clone, Copy, Default)]
struct Bits {
    /// The next one lowest.
    bits: u64,
    /// How many there are, in the lowest 6 bits.
    count: u32,
    /// Where in the input the next byte is.
    at: usize,
}

impl Bits {
    /// Reads on until there are 56 at least. Behind the end of the input, there are zeros.
    #[inline]
    fn refill(&mut self, input: &[u8]) {
        match input.get(self.at..).and_then(|rest| rest.first_chunk()) {
            Some(eight) => self.at += self.add(eight),
            None => {
                let mut eight = [0; 8];
                let rest = input.get(self.at..).unwrap_or_default();
                eight[..rest.len()].copy_from_slice(rest);
                self.at += self.add(&eight);
            }
        }
    }

    /// Adds what comes next. Returns how many of the bytes were added.
    #[inline(always)]
    fn add(&mut self, eight: &[u8; 8]) -> usize {
        self.bits |= u64::from_le_bytes(*eight).wrapping_shl(self.count);
        let added = !self.count >> 3 & 7;
        self.count |= 56;
        added as usize
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.bits = self.bits.wrapping_shr(count);
        self.count = self.count.wrapping_sub(count);
    }

    fn take(&mut self, count: u32) -> usize {
        let taken = self.bits & ((1 << count) - 1);
        self.skip(count);
        taken as usize
    }

    /// How many bytes of the input were taken, the last one perhaps in part.
    fn taken(&self) -> usize {
        self.at - (self.count & 63) as usize / 8
    }
}

/// What is to be read next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Header,
    Symbols,
    /// So many bytes as they are.
    Stored(usize),
    Nothing,
}

/// Decodes one stream after another.
pub(crate) struct Decoder {
    level: Level,
    tables: Box<Tables>,
    bits: Bits,
    next: Next,
    is_last_block: bool,
    buffer: Box<[u8]>,
    /// What stands in the buffer of the text and is still wanted.
    wanted: Range<usize>,
    /// How much of the text, and of what stands before it, does not stand in the buffer any more.
    gone: usize,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            level: Level::new(),
            tables: Box::new(Tables::new()),
            bits: Bits::default(),
            next: Next::Header,
            is_last_block: false,
            buffer: vec![0; BUFFER_BYTES].into(),
            wanted: HISTORY..HISTORY,
            gone: 0,
        }
    }
}

impl Decoder {
    /// Begins a stream.
    pub(crate) fn begin(&mut self) {
        self.buffer[..HISTORY].fill(0);
        self.bits = Bits::default();
        self.next = Next::Header;
        self.wanted = HISTORY..HISTORY;
        self.gone = 0;
    }

    /// How long the text is so far.
    pub(crate) fn length(&self) -> usize {
        self.gone + self.wanted.end - HISTORY
    }

    /// The text so far, but for what was let go.
    pub(crate) fn text(&self) -> &[u8] {
        &self.buffer[self.wanted.clone()]
    }

    /// So many bytes of [`Decoder::text`] are wanted no longer.
    pub(crate) fn let_go(&mut self, bytes: usize) {
        self.wanted.start += bytes;
    }

    /// How many bytes of the input were read, if the stream has ended.
    pub(crate) fn taken(&self) -> Option<usize> {
        (self.next == Next::Nothing).then(|| self.bits.taken())
    }

    /// Decodes so many bytes more, at most [`STEP`], and what comes with the last one; or up to the end. `input` is that of the steps before. Nothing
    /// where the stream is broken, as far as that shows, or where there is no room, because too little was let go.
    pub(crate) fn step(&mut self, input: &[u8], bytes: usize) -> Option<()> {
        self.make_room()?;
        let until = self.wanted.end + bytes.min(STEP);
        while self.wanted.end < until {
            let end = self.wanted.end;
            match self.next {
                Next::Nothing => break,
                Next::Header => self.header(input)?,
                Next::Stored(bytes) => {
                    let part = input.get(self.bits.at..)?.get(..bytes.min(until - end))?;
                    self.buffer[end..][..part.len()].copy_from_slice(part);
                    self.bits.at += part.len();
                    self.wanted.end += part.len();
                    self.next = if part.len() < bytes { Next::Stored(bytes - part.len()) } else { self.end_of_block() };
                }
                Next::Symbols => {
                    let window = self.buffer.get_mut(end - HISTORY..)?.first_chunk_mut()?;
                    let (bits, tables) = (&mut self.bits, &*self.tables);
                    let window_end = HISTORY + until - end;
                    self.wanted.end += dispatch!(self.level, simd => simd.vectorize(
                        #[inline(always)]
                        || symbols(bits, tables, input, window, window_end)
                    ));
                    if self.wanted.end < until {
                        self.symbol(input)?;
                    }
                }
            }
        }
        Some(())
    }

    /// Sees to it that a step has room, by moving what is kept to the front, and what a match may reach.
    fn make_room(&mut self) -> Option<()> {
        if self.wanted.end > KEPT {
            let moved = self.wanted.start.min(self.wanted.end - HISTORY);
            self.buffer.copy_within(moved..self.wanted.end, 0);
            self.wanted.start -= moved;
            self.wanted.end -= moved;
            self.gone += moved;
        }
        (self.wanted.end <= KEPT).then_some(())
    }

    fn end_of_block(&self) -> Next {
        if self.is_last_block { Next::Nothing } else { Next::Header }
    }

    /// Reads a block's header (3.2.3 to 3.2.7).
    fn header(&mut self, input: &[u8]) -> Option<()> {
        let bits = &mut self.bits;
        bits.refill(input);
        // Bits that are not there are taken for zeros, up to here.
        if bits.taken() > input.len() {
            return None;
        }
        self.is_last_block = bits.take(1) == 1;
        match bits.take(2) {
            0 => {
                // From the next whole byte on.
                let (length, rest) = input.get(bits.taken()..)?.split_first_chunk()?;
                let (complement, _) = rest.split_first_chunk()?;
                let length = u16::from_le_bytes(*length);
                if length != !u16::from_le_bytes(*complement) {
                    return None;
                }
                *bits = Bits { at: bits.taken() + 4, ..Bits::default() };
                self.next = if length > 0 { Next::Stored(length.into()) } else { self.end_of_block() };
            }
            1 => {
                let lengths = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
                self.tables.define(&lengths, &[5; DISTANCES])?;
                self.next = Next::Symbols;
            }
            2 => {
                let (literals, distances) = (bits.take(5) + 257, bits.take(5) + 1);
                let mut order = [0; ORDER.len()];
                for place in &ORDER[..bits.take(4) + 4] {
                    bits.refill(input);
                    order[*place] = bits.take(3) as u8;
                }
                let mut lengths = [0; LITERALS + DISTANCES];
                let lengths = lengths.get_mut(..literals + distances)?;
                code_lengths(&order, bits, input, lengths)?;
                let (literals, distances) = lengths.split_at(literals);
                self.tables.define(literals, distances)?;
                self.next = Next::Symbols;
            }
            _ => return None,
        }
        Some(())
    }

    /// Decodes one symbol, whichever it is.
    fn symbol(&mut self, input: &[u8]) -> Option<()> {
        let Decoder { bits, tables, buffer, wanted: Range { end, .. }, .. } = self;
        bits.refill(input);
        if bits.taken() > input.len() {
            return None;
        }
        let (symbol, code_bits) = tables.literal_code.symbol(bits.bits, 1)?;
        if symbol == END_OF_BLOCK {
            bits.skip(code_bits);
            self.next = self.end_of_block();
            return Some(());
        }
        let entry = tables.literal_meanings[symbol].coded(code_bits);
        if entry.is_long() {
            return None;
        }
        let bytes = entry.length(bits.bits);
        bits.skip(entry.0);
        if !entry.is_match() {
            buffer[*end] = symbol as u8;
            *end += 1;
            return Some(());
        }
        bits.refill(input);
        let (symbol, code_bits) = tables.distance_code.symbol(bits.bits, 1)?;
        let entry = tables.distance_meanings[symbol].coded(code_bits);
        if entry.is_long() {
            return None;
        }
        // No distance is larger than what stands before the text.
        let from = end.checked_sub(entry.distance(bits.bits))?;
        bits.skip(entry.0);
        for at in 0..bytes {
            buffer[*end + at] = buffer[from + at];
        }
        *end += bytes;
        Some(())
    }
}

/// Reads the lengths of a block's codes (3.2.7).
fn code_lengths(order: &[u8; ORDER.len()], bits: &mut Bits, input: &[u8], lengths: &mut [u8]) -> Option<()> {
    let mut code = Code::<{ ORDER.len() }>::new();
    code.define(order)?;
    let meanings: [Entry; ORDER.len()] = std::array::from_fn(|symbol| Entry((symbol as u32) << 16));
    let mut table = [Entry::NONE; 1 << 7];
    code.fill(&mut table, &meanings);
    let mut filled = 0;
    while filled < lengths.len() {
        bits.refill(input);
        let entry = table[(bits.bits & 0x7f) as usize];
        if entry.is_long() {
            return None;
        }
        bits.skip(entry.0);
        let (length, times) = match entry.0 >> 16 {
            16 => (*lengths.get(filled.checked_sub(1)?)?, 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => {
                lengths[filled] = length as u8;
                filled += 1;
                continue;
            }
        };
        lengths.get_mut(filled..filled + times)?.fill(length);
        filled += times;
    }
    Some(())
}

/// Decodes symbols while they are easy, up to `end` of the window. Returns how many bytes of text that made.
#[inline(always)]
fn symbols(state: &mut Bits, tables: &Tables, input: &[u8], window: &mut Window, end: usize) -> usize {
    let Tables { literals, distances, .. } = tables;
    let end = end.min(END);
    let mut bits = *state;
    bits.refill(input);
    let Some(mut unread) = input.get(bits.at..) else { return 0 };
    let mut to = HISTORY;
    while to < end {
        // As long as eight bytes are left.
        macro_rules! refill {
            () => {
                let Some(eight) = unread.first_chunk() else { break };
                unread = &unread[bits.add(eight)..];
            };
        }
        macro_rules! look_up {
            () => {
                literals[(bits.bits & ((1 << LITERAL_BITS) - 1)) as usize]
            };
        }
        macro_rules! put {
            ($entry:ident) => {
                put::<2>(window, to, (($entry.0 >> 16) as u16).to_le_bytes());
                to += 1 + $entry.more();
                bits.skip($entry.0);
            };
        }
        // There are bits enough to look this up, so that nobody waits for more to be read: of 64, what follows takes four times 11 for literals; or
        // once that, 16 for a length and 22 for a distance; or 20 for a length with a long code.
        let mut entry = look_up!();
        refill!();
        if !entry.is_match() {
            put!(entry);
            entry = look_up!();
            if !entry.is_match() {
                put!(entry);
                entry = look_up!();
                if !entry.is_match() {
                    put!(entry);
                    entry = look_up!();
                    if !entry.is_match() {
                        put!(entry);
                    }
                    continue;
                }
                refill!();
            }
        }
        if entry.is_long() {
            refill!();
            entry = tables.long_literal(bits.bits);
            if !entry.is_match() {
                put!(entry);
                continue;
            }
            if entry.is_long() {
                break;
            }
        }
        // (Here, not where it is needed: there, the processor's registers would not do.)
        let length = entry.length(bits.bits);
        let rest = bits.bits.wrapping_shr(entry.0);
        let mut distance = distances[(rest & ((1 << DISTANCE_BITS) - 1)) as usize];
        if distance.is_long() {
            // It may take 28.
            refill!();
            distance = tables.long_distance(rest);
            if distance.is_long() {
                break;
            }
        }
        window[to] = (entry.0 >> 16) as u8;
        to += entry.more();
        bits.skip(entry.0);
        let from = to.wrapping_sub(distance.distance(bits.bits));
        bits.skip(distance.0);
        // No distance is larger than the history before the window's first place: this is for the compiler.
        if from >= END {
            break;
        }
        if to - from < PART {
            repeat(window, from, to, length);
        } else {
            // Most matches are shorter than this, and what is too much will be overwritten. One part after the other: a match that is longer than
            // its distance repeats what it wrote.
            for part in 0..4 {
                copy::<PART>(window, from + PART * part, to + PART * part);
            }
            if length > 4 * PART {
                for part in 4..8 {
                    copy::<PART>(window, from + PART * part, to + PART * part);
                }
                copy::<{ MOST_LENGTH - 8 * PART }>(window, from + 8 * PART, to + 8 * PART);
            }
        }
        to += length;
    }
    bits.count &= 63;
    bits.at = input.len() - unread.len();
    *state = bits;
    to - HISTORY
}

#[inline(always)]
fn put<const N: usize>(window: &mut Window, to: usize, bytes: [u8; N]) {
    *window[to..].first_chunk_mut().expect("there is room to spare") = bytes;
}

#[inline(always)]
fn copy<const N: usize>(window: &mut Window, from: usize, to: usize) {
    let bytes: [u8; N] = *window[from..].first_chunk().expect("there is room to spare");
    put(window, to, bytes);
}

/// Copies what may repeat what it wrote, in parts that are no longer than the distance.
#[inline(never)]
fn repeat(window: &mut Window, from: usize, to: usize, length: usize) {
    const PART: usize = 8;
    if to - from < PART {
        for at in 0..length {
            window[to + at] = window[from + at];
        }
    } else {
        for at in (0..length).step_by(PART) {
            copy::<PART>(window, from + at, to + at);
        }
    }
}
