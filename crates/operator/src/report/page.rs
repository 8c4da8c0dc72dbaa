//! Text for a browser, in which a value can never become markup.

use std::fmt::{self, Display, Write};

/// A page that is being written. Markup is known when this is compiled; everything else is escaped.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// Markup of ours.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Page {
        self.0.push_str(markup);
        self
    }

    /// A value, as text or within a quoted attribute.
    pub(super) fn text(&mut self, value: impl Display) -> &mut Page {
        write!(Escaped(&mut self.0), "{value}").expect("a String takes every text");
        self
    }

    /// A sentence of ours with values in it: what stands between back ticks is code.
    pub(super) fn prose(&mut self, sentence: &str) -> &mut Page {
        let mut parts = sentence.split('`').peekable();
        let mut is_code = false;
        while let Some(part) = parts.next() {
            // A back tick that is left alone opens nothing.
            if is_code && parts.peek().is_some() {
                self.element("<code>", part, "</code>");
            } else {
                self.raw(if is_code { "`" } else { "" }).text(part);
            }
            is_code = !is_code;
        }
        self
    }

    /// A coordinate, to a tenth.
    pub(super) fn number(&mut self, value: f64) -> &mut Page {
        let tenths = (value * 10.0).round() / 10.0;
        write!(self.0, "{tenths}").expect("a String takes every text");
        self
    }

    /// An element with a value in it.
    pub(super) fn element(&mut self, open: &'static str, value: impl Display, close: &'static str) -> &mut Page {
        self.raw(open).text(value).raw(close)
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // What has no look of its own might hide or turn the text around it.
                c if (c.is_control() && c != '\n') || is_invisible(c) => write!(self.0, "\u{fffd}")?,
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// Marks that change the direction of text, or are not there to be seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_markup() {
        let mut page = Page::default();
        page.raw("<b>").text("<script>'\"&\u{202e}x\u{7}</script>").raw("</b>").number(1.25);
        page.prose("a `<b>` `c");
        assert_eq!(
            page.finish(),
            "<b>&lt;script&gt;&#39;&quot;&amp;\u{fffd}x\u{fffd}&lt;/script&gt;</b>1.3a <code>&lt;b&gt;</code> `c"
        );
    }
}
