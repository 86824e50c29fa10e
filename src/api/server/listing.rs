//! The list of sessions as one answer, put together from pages: thousands of sessions are some mebibytes, which are
//! neither written nor moved at one go.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;

use crate::api::{Page, SessionStatus};

/// A [`crate::api::SessionList`] as JSON, as far as it is written.
#[derive(Default)]
pub(super) struct Listing {
    pages: Vec<Bytes>,
    any: bool,
}

impl Listing {
    pub(super) fn add(&mut self, page: &Page) {
        let mut text = Vec::new();
        for status in &page.sessions {
            text.extend_from_slice(if self.any { b"," } else { b"{\"sessions\":[" });
            self.any = true;
            text.append(&mut json(status));
        }
        self.pages.push(text.into());
    }

    pub(super) fn answer(mut self) -> Response {
        self.pages.push(Bytes::from_static(if self.any {
            b"]}"
        } else {
            b"{\"sessions\":[]}"
        }));
        let length: usize = self.pages.iter().map(Bytes::len).sum();
        let body = Body::from_stream(stream::iter(
            self.pages.into_iter().map(Ok::<_, Infallible>),
        ));
        let headers = [
            (CACHE_CONTROL, "no-store".to_owned()),
            (CONTENT_TYPE, "application/json".to_owned()),
            (CONTENT_LENGTH, length.to_string()),
        ];
        (headers, body).into_response()
    }
}

/// Only strings, numbers and lists: this cannot fail.
fn json(status: &SessionStatus) -> Vec<u8> {
    serde_json::to_vec(status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;
    use crate::api::{SessionList, fake};

    #[test]
    fn pages_become_one_list_whatever_is_on_them() {
        let names = |pages: &[&[&str]]| {
            let mut listing = Listing::default();
            for page in pages {
                let sessions = page.iter().map(|name| fake::status(name)).collect();
                listing.add(&Page {
                    sessions,
                    end: None,
                });
            }
            let answer = listing.answer();
            let length = answer.headers()[CONTENT_LENGTH]
                .to_str()
                .unwrap()
                .parse::<usize>()
                .unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let text = runtime
                .block_on(to_bytes(answer.into_body(), usize::MAX))
                .unwrap();
            assert_eq!(text.len(), length);
            let list: SessionList = serde_json::from_slice(&text).unwrap();
            list.sessions
                .into_iter()
                .map(|status| status.session)
                .collect::<Vec<_>>()
        };
        assert!(names(&[]).is_empty());
        assert!(names(&[&[], &[]]).is_empty());
        assert_eq!(names(&[&[], &["a", "b"], &[], &["c"]]), ["a", "b", "c"]);
    }
}
