//! Paths of requests: which have one reading only, and which lie below another.

/// The beginning of a path: whole segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// Of a path as the config or a profile has it; none where no request could have such a path.
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.strip_suffix('/').unwrap_or(text);
        (text.starts_with('/') && has_one_reading(text)).then(|| Self(path.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `path` is this, or lies below it.
    pub fn holds(&self, path: &str) -> bool {
        path.strip_prefix(self.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether `path` is this very one, with or without a last slash, in large or small letters.
    pub fn is(&self, path: &str) -> bool {
        self.0.eq_ignore_ascii_case(path.trim_end_matches('/'))
    }

    /// As [`Self::holds`], where large and small letters are one: servers of the market take paths in either case.
    pub fn holds_in_any_case(&self, path: &str) -> bool {
        Self(self.0.to_ascii_lowercase()).holds(&path.to_ascii_lowercase())
    }
}

/// Whether a path has one reading: no empty segment but the last, no dots that climb, nothing that hides a slash or a dot,
/// nothing that cannot be seen, and no parameter that some servers cut off before they look at the path.
pub fn has_one_reading(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let hides = ["%2f", "%2e", "%5c", "%25", "%3b", "%0", "%1", "%7f"]
        .iter()
        .any(|hidden| lower.contains(hidden));
    let sound = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b';' | b'#'));
    let mut rest = path.strip_prefix('/').unwrap_or_default().split('/').rev();
    let last = rest.next().unwrap_or_default();
    let climbs = |segment: &str| matches!(segment, "." | "..");
    path.starts_with('/')
        && sound
        && !hides
        && !climbs(last)
        && !rest.any(|segment| segment.is_empty() || climbs(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_reading_or_none() {
        for (path, expected) in [
            ("/", true),
            ("/services/data/v62.0/query/", true),
            ("/a.b/c..d/.e", true),
            ("/%C3%A9/a%20b", true),
            ("//a", false),
            ("/a//b", false),
            ("/a/./b", false),
            ("/a/..", false),
            ("/a/.", false),
            ("/a/../b", false),
            ("/a/%2e%2E/b", false),
            ("/a%2fb", false),
            ("/a%5Cb", false),
            ("/a%252fb", false),
            ("/a;x=1/b", false),
            ("/a%3bx", false),
            ("/a%00", false),
            ("/a%0d%0a", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(has_one_reading(path), expected, "{path}");
        }
    }

    #[test]
    fn a_prefix_holds_whole_segments() {
        for (path, expected) in [
            ("/services/data", true),
            ("/services/data/", true),
            ("/services/data/v62.0", true),
            ("/services/database", false),
            ("/services", false),
            ("/Services/Data", false),
        ] {
            let prefix = PathPrefix::parse("/services/data/").unwrap();
            assert_eq!(prefix.holds(path), expected, "{path}");
        }
        let prefix = PathPrefix::parse("/services/oauth2").unwrap();
        assert!(prefix.holds_in_any_case("/Services/OAuth2/token"));
        assert!(PathPrefix::parse("/").unwrap().holds("/anything"));
        for bad in ["", "services", "/a/../b", "/a?b;c"] {
            assert_eq!(PathPrefix::parse(bad), None, "{bad}");
        }
    }
}
