//! Keeps the beginning of what a child prints.

use tokio::io::{AsyncRead, AsyncReadExt};

/// What came out of one pipe.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    kept: Vec<u8>,
    total: u64,
}

impl Captured {
    /// Reads a pipe to its end and keeps the first `limit` bytes; the rest is read too, so that the child never waits.
    pub(crate) async fn fill(&mut self, pipe: Option<impl AsyncRead + Unpin>, limit: usize) {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = vec![0; 1 << 16];
        // A broken pipe is an end like any other: how the child ended tells what happened.
        while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
            self.total = self.total.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            let room = limit.saturating_sub(self.kept.len()).min(length);
            self.kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
        }
    }

    /// Gives the text, with a notice where something is missing; bytes that are not UTF-8 become `\u{fffd}`.
    pub(crate) fn into_text(mut self) -> String {
        let kept = u64::try_from(self.kept.len()).unwrap_or(u64::MAX);
        if self.total == kept {
            return lossy(self.kept);
        }
        // The cut may have gone through a character.
        if let Err(error) = std::str::from_utf8(&self.kept)
            && error.error_len().is_none()
        {
            self.kept.truncate(error.valid_up_to());
        }
        let mut text = lossy(self.kept);
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        text.push_str(&format!("{newline}[motet: output cut off, {kept} of {} bytes kept]\n", self.total));
        text
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn captured(bytes: &[u8], limit: usize) -> String {
        let mut captured = Captured::default();
        captured.fill(Some(bytes), limit).await;
        captured.into_text()
    }

    #[tokio::test]
    async fn output_within_the_limit_is_kept_as_it_is() {
        assert_eq!(captured("zwölf\n".as_bytes(), 7).await, "zwölf\n");
        assert_eq!(captured(b"", 0).await, "");
    }

    #[tokio::test]
    async fn a_cut_is_told_and_leaves_no_half_character() {
        assert_eq!(captured("zwölf".as_bytes(), 3).await, "zw\n[motet: output cut off, 3 of 6 bytes kept]\n");
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(captured(b"a\xffb", 10).await, "a\u{fffd}b");
    }
}
