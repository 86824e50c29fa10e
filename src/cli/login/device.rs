//! A login on any device: a code, where to type it, and a picture of both.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Color, Style};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::Login;
use crate::api::LoginDone;
use crate::api::client::ClientError;
use crate::cli::status::Paper;
use crate::cli::{output, words};
use crate::clock;

/// How long one question to the daemon waits.
const PATIENCE: Duration = Duration::from_secs(25);
/// The picture begins so many columns in.
const INDENT: usize = 4;
/// Between two questions while the daemon is not there.
const PAUSE: Duration = Duration::from_millis(500);

/// Shows what the person must know, and waits until the daemon has the token.
pub(super) fn lead(
    login: &Login<'_>,
    user_code: &str,
    verification_uri: &str,
    complete: Option<&str>,
) -> Result<LoginDone, ClientError> {
    output::complain(&instructions(
        login,
        user_code,
        verification_uri,
        complete
            .filter(|_| stderr().is_terminal())
            .and_then(picture),
    ));
    let ends = clock::boottime().after(login.lifetime() + PATIENCE);
    loop {
        let asked = clock::boottime();
        if let Some(status) = login.outcome(PATIENCE.min(ends.since(asked)))? {
            return Ok(status);
        }
        if clock::boottime() >= ends {
            return Err(ClientError::Silent("its socket".into()));
        }
        std::thread::sleep(PAUSE);
    }
}

/// What is typed comes last, where it is still seen below a picture that is higher than the terminal.
fn instructions(
    login: &Login<'_>,
    user_code: &str,
    verification_uri: &str,
    picture: Option<String>,
) -> String {
    let (session, bold) = (&login.begun.session, Style::new().bold());
    let left = words::span(login.lifetime());
    let begin = match picture {
        Some(picture) => {
            format!("To log in to {session}, scan this with a phone:\n\n{picture}\nor open")
        }
        None => format!("To log in to {session}, open"),
    };
    format!(
        "{begin} this address on any device:\n\n    {verification_uri}\n\n\
         and type this code there, within {left}:\n\n    {bold}{user_code}{bold:#}\n"
    )
}

/// The address as a QR code of half blocks, light on dark whatever the terminal's own colours are; none where it is wider
/// than the terminal, which would break it.
fn picture(address: &str) -> Option<String> {
    drawn(address, Paper::of_stderr().room(INDENT))
}

fn drawn(address: &str, room: usize) -> Option<String> {
    let code = QrCode::new(address).ok()?;
    // The blocks are the light parts: where colours are left out, that is right on a dark terminal.
    let blocks = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    let style = Style::new()
        .fg_color(Some(Color::Ansi(AnsiColor::BrightWhite)))
        .bg_color(Some(Color::Ansi(AnsiColor::Black)));
    let mut picture = String::new();
    for line in blocks.lines() {
        if line.chars().count() > room {
            return None;
        }
        let _ = writeln!(picture, "{}{style}{line}{style:#}", " ".repeat(INDENT));
    }
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_half_as_many_lines_as_modules_and_a_quiet_zone() {
        let address = "https://id.example/device?user_code=WDJB-MJHT";
        let plain = anstream::adapter::strip_str(&drawn(address, 80).unwrap()).to_string();
        let blocks: Vec<&str> = plain.lines().map(str::trim_start).collect();
        let width = blocks[0].chars().count();
        assert!(
            blocks.iter().all(|line| line.chars().count() == width),
            "{plain}"
        );
        assert_eq!(blocks.len(), width.div_ceil(2));
        assert!(
            blocks[0].chars().all(|block| block == '█'),
            "the quiet zone is light"
        );
        assert!(drawn("x".repeat(8000).as_str(), 8000).is_none());
        assert!(drawn(address, width).is_some() && drawn(address, width - 1).is_none());
    }
}
