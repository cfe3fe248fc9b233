//! What every tab looks like: no complaints, nothing that axe-core calls serious, no wider than the window; and its picture, where somebody wants it.

use super::{Page, in_a_window};
use crate::page::browser::{Window, programs};
use libtest_mimic::{Completion, Trial};
use std::path::PathBuf;

const TABS: [&str; 7] = ["draw", "consistency", "interpolate", "encode", "edit", "grid", "train"];

const WINDOWS: [(&str, Window); 4] = [
    ("wide_light", Window { width: 1280, dark: false }),
    ("wide_dark", Window { width: 1280, dark: true }),
    ("narrow_light", Window { width: 390, dark: false }),
    ("narrow_dark", Window { width: 390, dark: true }),
];

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |(name, window): (&'static str, Window)| {
        Trial::ignorable_test(format!("looks::{name}"), move || {
            let missing = if programs().is_none() { "no chromedriver or no chromium on the PATH" } else { "DDIM_AXE is not set" };
            if programs().is_none() || variable("DDIM_AXE").is_none() {
                return Ok(Completion::ignored_with(format!("{missing}, see CONTRIBUTING.md")));
            }
            let test = match name {
                "wide_light" => |page| Box::pin(look(page, "wide_light")) as _,
                "wide_dark" => |page| Box::pin(look(page, "wide_dark")) as _,
                "narrow_light" => |page| Box::pin(look(page, "narrow_light")) as _,
                _ => |page| Box::pin(look(page, "narrow_dark")) as _,
            };
            let folder = tempfile::tempdir().unwrap();
            run_of_training(folder.path());
            in_a_window(window, &["--runs", folder.path().to_str().unwrap()], test);
            Ok(Completion::Completed)
        })
    };
    WINDOWS.into_iter().map(trial).collect()
}

/// As `ddim train` leaves it.
fn run_of_training(folder: &std::path::Path) {
    let run = folder.join("my run");
    std::fs::create_dir_all(run.join("previews")).unwrap();
    std::fs::write(run.join("config.toml"), "seed = 0\nsteps = 300\n").unwrap();
    let line = |step: u32| {
        format!("{{\"step\":{step},\"epoch\":0.5,\"loss\":{},\"learning_rate\":0.001,\"images_per_second\":90.5}}\n", 1.0 / f64::from(step))
    };
    std::fs::write(run.join("metrics.jsonl"), (1..=3).map(|n| line(50 * n)).collect::<String>()).unwrap();
    std::fs::copy(crate::common::root().join("docs/images/lower_half.png"), run.join("previews/step-00000100.png")).unwrap();
}

async fn look(page: Page, name: &str) -> Page {
    let browser = &page.browser;
    let axe = std::fs::read_to_string(variable("DDIM_AXE").expect("looked for before")).unwrap();
    page.drawn().await;
    if let Some(folder) = variable("DDIM_SCREENSHOTS").filter(|_| name == "wide_light") {
        readme(&page, &folder.join("studio.png")).await;
    }
    for tab in TABS {
        browser.click(&format!("tab-{tab}")).await;
        browser
            .until(&format!("!document.getElementById('panel-{tab}').hidden && document.getElementById('panel-{tab}').ariaBusy !== 'true'"))
            .await;
        if ["encode", "edit"].contains(&tab) {
            browser.click(&format!("{tab}-drawn-0")).await;
            browser.until(&format!("document.querySelector(\"[data-testid='{tab}-status']\").textContent.length > 3 && document.getElementById('panel-{tab}').ariaBusy !== 'true'")).await;
        }
        if tab == "train" {
            browser.until("document.querySelector(\"[data-testid='train-facts']\").textContent.includes('150 of 300') && document.querySelector(\"[data-testid='train-preview']\").naturalWidth > 0").await;
        }
        // Pictures of what is still on its way are of nothing.
        tokio::time::sleep(std::time::Duration::from_millis(if variable("DDIM_SCREENSHOTS").is_some() { 4000 } else { 300 })).await;
        if let Some(folder) = variable("DDIM_SCREENSHOTS") {
            browser.picture(&folder.join(format!("{tab}_{name}.png"))).await;
        }
        let wide = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth;").await;
        // Less where there is room for a scrollbar.
        assert!(wide.as_i64().is_some_and(|wide| wide <= 0), "{tab}: {wide} wider than its window");
        let script = format!(
            "{axe}; const done = arguments[arguments.length - 1];
             axe.run(document, {{ resultTypes: ['violations'] }}).then((found) => done(found.violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) =>
                `${{v.id}}: ${{v.help}}: ${{v.nodes.map((n) => n.html.slice(0, 120)).join(' | ')}}`)), (error) => done([String(error)]));"
        );
        let found = browser.client.execute_async(&script, Vec::new()).await.unwrap();
        assert_eq!(found, serde_json::json!([]), "{tab}");
    }
    page
}

/// The picture of the README: a drawing on its way.
async fn readme(page: &Page, file: &std::path::Path) {
    let browser = &page.browser;
    browser.run("location.hash = '#draw?steps=20&eta=0.4&seed=5';").await;
    browser.until("document.querySelector(\"[data-testid='draw-steps-number']\").value === '20'").await;
    page.drawn().await;
    browser.run("const slider = document.querySelector(\"[data-testid='draw-scrubber']\"); slider.value = 9; slider.dispatchEvent(new Event('input', { bubbles: true }));").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    browser.picture(file).await;
}
