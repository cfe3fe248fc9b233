//! The web page in `assets/`, built in so that a single binary is all that is needed.

use crate::error::Problem;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

macro_rules! assets {
    ($($name:literal)*) => { [$(($name, include_bytes!(concat!("../assets/", $name)) as &[u8])),*] };
}

/// Files by name: all of the folder.
const ASSETS: [(&str, &[u8]); 28] = assets! {
    "backend-server.js"
    "base.css"
    "chart.js"
    "command.js"
    "controls.js"
    "dom.js"
    "draw-parts.js"
    "equation.js"
    "explain.js"
    "icon.svg"
    "image-input.js"
    "index.html"
    "job.js"
    "main.js"
    "mask.js"
    "png.js"
    "runner.js"
    "settings.js"
    "state.js"
    "studio.css"
    "tab-consistency.js"
    "tab-draw.js"
    "tab-edit.js"
    "tab-encode.js"
    "tab-grid.js"
    "tab-interpolate.js"
    "tab-train.js"
    "tools.css"
};

/// The page itself.
pub(crate) async fn index() -> Response {
    answer("index.html").expect("it is built in")
}

/// What the page consists of.
///
/// # Errors
/// 404 for other names.
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    answer(&name).ok_or_else(|| Problem::not_found(format!("/assets/{name}")))
}

fn answer(name: &str) -> Option<Response> {
    let (_, bytes) = ASSETS.iter().find(|(other, _)| *other == name)?;
    let kind = match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    // Asked for again each time: the next binary's page is another.
    Some(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], *bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_folder_is_built_in_and_small() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets")).unwrap();
        let mut there: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut ours: Vec<&str> = ASSETS.iter().map(|(name, _)| *name).collect();
        there.sort();
        ours.sort_unstable();
        assert_eq!(there, ours);
        assert!(ASSETS.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < 300_000);
    }
}
