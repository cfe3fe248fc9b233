//! The other tabs: what a person gives them, and what comes of it.

use super::Page;
use crate::common;

/// Waits until a tab has drawn what it was asked for.
async fn settled(page: &Page, tab: &str) {
    page.browser.until(&format!("document.querySelector(\"[data-testid='{tab}-status']\").textContent.length > 3 && document.getElementById('panel-{tab}').ariaBusy !== 'true'")).await;
}

/// A picture by the command line, and its folder.
fn drawn(flags: &[&str]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    common::ok(folder.path(), &[&["sample", "--count", "1", "--out", "out"], flags].concat());
    let file = folder.path().join("out/00000.png");
    (folder, file)
}

pub(crate) async fn an_upload_is_encoded_and_decoded(page: Page) -> Page {
    let browser = &page.browser;
    let (folder, file) = drawn(&["--steps", "20", "--seed", "3"]);
    page.drawn().await;
    browser.click("tab-encode").await;
    page.set("encode-steps-number", "20").await;
    page.set("encode-decode-number", "20").await;
    browser.choose("encode-file", &file).await;
    browser.until("Number(document.querySelector(\"[data-testid='encode-mse']\")?.textContent) > 0").await;
    settled(&page, "encode").await;
    assert!(page.is_pressed("encode-class-none").await);
    // The page's error is that of the pictures that the command line writes.
    common::ok(folder.path(), &["encode", "--input", file.to_str().unwrap(), "--steps", "20", "--save-npy", "x_T.npy"]);
    common::ok(folder.path(), &["sample", "--latents", "x_T.npy", "--steps", "20", "--out", "decoded"]);
    let pixels = |file: &std::path::Path| image::open(file).unwrap().into_rgb8().into_raw();
    let (original, decoded) = (pixels(&file), pixels(&folder.path().join("decoded/00000.png")));
    let square: f64 = original.iter().zip(&decoded).map(|(a, b)| ((f64::from(*a) - f64::from(*b)) / 255.0).powi(2)).sum();
    let expected = square / original.len() as f64;
    let mse: f64 = browser.text("encode-mse").await.parse().unwrap();
    assert!((mse / expected - 1.0).abs() < 0.01, "{mse}, by the command line {expected}");
    let pictures = browser
        .run("return ['input', 'latent', 'decoded'].map((name) => document.querySelector(`[data-testid='encode-${name}']`).naturalWidth);")
        .await;
    assert_eq!(pictures, serde_json::json!([32, 32, 32]));
    page
}

pub(crate) async fn interpolation_follows_the_pointer(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    browser.click("tab-interpolate").await;
    browser.until("document.querySelectorAll(\"[data-testid='interpolate-map'] img\").length === 49").await;
    settled(&page, "interpolate").await;
    assert!(page.is_pressed("interpolate-classes-none").await);
    // From one corner to another.
    let script = "
        const field = document.querySelector(\"[data-testid='interpolate-field']\"), box = field.getBoundingClientRect(), large = document.querySelector(\"[data-testid='interpolate-large']\");
        const shown = new Set();
        for (let i = 0; i <= 20; i++) {
            const at = { clientX: box.left + (0.02 + 0.048 * i) * box.width, clientY: box.top + (0.02 + 0.048 * i) * box.height, buttons: 1, pointerId: 1, bubbles: true };
            field.dispatchEvent(new PointerEvent('pointermove', at));
            shown.add(large.src);
        }
        return [shown.size, document.querySelector(\"[data-testid='interpolate-caption']\").textContent];";
    let found = browser.run(script).await;
    assert_eq!(found, serde_json::json!([7, "1.00 across, 1.00 down"]));
    // The corner is the latent of its seed: the picture that `sample` draws of it, without a class as `interpolate` does.
    let (_folder, file) = drawn(&["--steps", "20", "--seed", "3", "--classes", "none", "--guidance", "1"]);
    let pixels = |file: &std::path::Path| image::open(file).unwrap().into_rgb8().into_raw();
    let shown = tempfile::tempdir().unwrap();
    page.save("[data-testid='interpolate-large']", &shown.path().join("corner.png")).await;
    assert!(pixels(&shown.path().join("corner.png")) == pixels(&file));
    page
}

pub(crate) async fn an_edit_stays_outside_its_mask(page: Page) -> Page {
    let browser = &page.browser;
    let (_folder, file) = drawn(&["--steps", "20", "--seed", "5"]);
    page.drawn().await;
    browser.click("tab-edit").await;
    page.set("edit-steps-number", "10").await;
    page.set("edit-variations-number", "1").await;
    browser.choose("edit-file", &file).await;
    browser.until("document.querySelectorAll(\"[data-testid='edit-results'] img\").length === 1").await;
    settled(&page, "edit").await;
    assert!(page.is_pressed("edit-from-unset").await && page.is_pressed("edit-to-unset").await);
    // The lower half, by numbers: as whoever cannot brush does.
    browser.run("document.querySelector(\"[data-testid='edit-rect-left']\").closest('details').open = true;").await;
    for (name, value) in [("left", "0"), ("top", "16"), ("width", "32"), ("height", "16")] {
        page.set(&format!("edit-rect-{name}"), value).await;
    }
    browser.click("edit-rect-add").await;
    browser.until("document.querySelector(\"[data-testid='edit-status']\").textContent.includes('within the mask')").await;
    settled(&page, "edit").await;
    let edited = tempfile::tempdir().unwrap();
    page.save("[data-testid='edit-results'] img", &edited.path().join("edit.png")).await;
    let pixels = |file: &std::path::Path| image::open(file).unwrap().into_rgb8().into_raw();
    let (before, after) = (pixels(&file), pixels(&edited.path().join("edit.png")));
    assert!(before[..16 * 32 * 3] == after[..16 * 32 * 3], "what was not painted has changed");
    assert!(before[16 * 32 * 3..] != after[16 * 32 * 3..], "what was painted has not changed");
    page
}

pub(crate) async fn one_latent_in_many_steps(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    browser.click("tab-consistency").await;
    settled(&page, "consistency").await;
    page.set("consistency-steps", "5, 10, 40").await;
    browser
        .until("[...document.querySelectorAll(\"[data-testid='consistency-table'] th\")].some((cell) => cell.textContent.includes('40'))")
        .await;
    settled(&page, "consistency").await;
    let (columns, pictures) =
        (3, browser.run("return document.querySelectorAll(\"[data-testid='consistency-table'] img\").length;").await.as_u64().unwrap());
    assert!(pictures > 0 && pictures % columns == 0, "{pictures}");
    page
}

pub(crate) async fn the_grid_fills_and_can_be_cancelled(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    browser.click("tab-grid").await;
    browser.until("document.querySelectorAll(\"[data-testid='grid-table'] img\").length > 0").await;
    page.set("grid-steps", "2, 3").await;
    settled(&page, "grid").await;
    let status = browser.text("grid-status").await;
    assert!(status.contains("10 cells"), "{status}");
    // Cells of hours.
    page.set("grid-steps", "1000").await;
    browser.until("document.getElementById('panel-grid').ariaBusy === 'true'").await;
    browser.click("grid-cancel").await;
    browser.until("document.getElementById('panel-grid').ariaBusy !== 'true'").await;
    page
}
