//! Draw: a picture that follows its settings.

use super::Page;
use crate::common;
use serde_json::{Value, json};
use std::fs;

/// Counts the pictures that were shown of x_t and of the predicted x_0, from now on.
const WATCH: &str = "
    window.shown = { xt: new Set(), x0: new Set() };
    for (const id of ['xt', 'x0']) {
        const image = document.querySelector(`[data-testid='draw-${id}']`);
        new MutationObserver(() => window.shown[id].add(image.src)).observe(image, { attributes: true, attributeFilter: ['src'] });
    }";

pub(crate) async fn frames_come_as_it_is_drawn(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    browser.run(WATCH).await;
    browser.click("draw-seed-dice").await;
    page.drawn().await;
    for id in ["xt", "x0"] {
        let shown = browser.run(&format!("return window.shown.{id}.size;")).await.as_u64().unwrap();
        assert!(shown >= 3, "{id}: {shown} pictures while it was drawn");
    }
    // Afterwards one goes back through them, with the keyboard.
    let frames: u64 = browser.text("draw-frame-count").await.parse().unwrap();
    assert!(frames >= 3, "{frames}");
    let last = browser.text("draw-frame-caption").await;
    browser.run("document.querySelector(\"[data-testid='draw-scrubber']\").focus();").await;
    browser.client.active_element().await.unwrap().send_keys("\u{e012}").await.unwrap(); // the left arrow
    assert_ne!(browser.text("draw-frame-caption").await, last);
    page
}

pub(crate) async fn a_drag_starts_anew(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    browser.click("draw-count-64").await;
    page.drawn().await;
    browser.run(WATCH).await;
    // As a slider moves under a pointer: many values, a few milliseconds from each other. It passes hundreds of steps, which take longer than any
    // pause, and ends at few.
    let script = "
        const done = arguments[arguments.length - 1], slider = document.querySelector(\"[data-testid='draw-steps']\");
        const [from, to] = [Number(slider.min), Number(slider.max)];
        let i = 0;
        const move = () => {
            slider.value = from + (to - from) * (i < 19 ? 0.8 + 0.005 * i : 0.3);
            slider.dispatchEvent(new Event('input', { bubbles: true }));
            ++i < 20 ? setTimeout(move, i % 7 ? 15 : 150) : done(performance.now());
        };
        move();";
    browser.client.execute_async(script, Vec::new()).await.unwrap();
    browser.until("window.shown.x0.size >= 3").await;
    page.drawn().await;
    // Jobs that it left behind were cancelled, and the last is done.
    let jobs = page.server.json("/api/v1/jobs");
    let states: Vec<&str> = jobs["jobs"].as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
    assert_eq!(states[0], "done", "{states:?}");
    assert!(states.contains(&"cancelled"), "{states:?}");
    assert!(states.iter().all(|state| ["done", "cancelled"].contains(state)), "{states:?}");
    page
}

pub(crate) async fn a_cancel_ends_the_job(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    browser.click("draw-count-64").await;
    page.set("draw-steps-number", "1000").await;
    browser.until("document.querySelector(\"[data-testid='draw-progress']\").value > 0").await;
    browser.click("draw-cancel").await;
    browser.until("document.querySelector(\"[data-testid='draw-status']\").textContent.includes('cancelled')").await;
    let began = std::time::Instant::now();
    loop {
        let newest = page.server.json("/api/v1/jobs")["jobs"][0]["state"].clone();
        if newest == "cancelled" {
            break;
        }
        assert!(began.elapsed().as_secs() < 30, "{newest}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    page
}

pub(crate) async fn a_picture_restores_its_settings(page: Page) -> Page {
    let browser = &page.browser;
    let folder = tempfile::tempdir().unwrap();
    // By the command line, which knows nothing of the page.
    common::ok(
        folder.path(),
        &[
            "sample",
            "--count",
            "4",
            "--steps",
            "7",
            "--eta",
            "0.5",
            "--seed",
            "31",
            "--solver",
            "ddim",
            "--trajectory",
            "quadratic",
            "--guidance",
            "3",
            "--guidance-interval",
            "0,0.5",
            "--grid",
            "grid.png",
        ],
    );
    page.drawn().await;
    browser.choose("restore-file", &folder.path().join("grid.png")).await;
    browser.until("document.querySelector(\"[data-testid='toast']\")?.textContent === 'Settings restored from the picture.'").await;
    browser.until("document.querySelector(\"[data-testid='draw-steps-number']\").value === '7'").await;
    page.drawn().await;
    assert_eq!(browser.value("draw-seed").await, "31");
    assert_eq!(browser.value("draw-trajectory").await, "quadratic");
    assert_eq!(browser.value("draw-eta-number").await, "0.5");
    assert_eq!(browser.value("draw-levels").await, "0,0.5");
    let newest = page.server.json("/api/v1/jobs")["jobs"][0]["id"].clone();
    let request = page.server.json(&format!("/api/v1/jobs/{newest}"))["request"].clone();
    for (field, value) in
        [("steps", json!(7)), ("eta", json!(0.5)), ("seed", json!(31)), ("trajectory", json!("quadratic")), ("count", json!(4))]
    {
        assert_eq!(request[field], value, "{field}");
    }
    assert_eq!(request["model"]["guidance"], json!({ "scale": 3.0, "interval": [0.0, 0.5], "rescale": 0.0 }));
    page
}

/// Sets a control and waits for the pictures that come of it.
async fn redrawn_with(page: &Page, id: &str, value: &str) {
    let browser = &page.browser;
    browser.run("window.before = document.querySelector(\"[data-testid='draw-gallery'] img\").src;").await;
    browser
        .run(&format!(
            "const e = document.querySelector(\"[data-testid='{id}']\"); e.value = '{value}'; e.dispatchEvent(new Event('change'));"
        ))
        .await;
    browser.until("document.querySelector(\"[data-testid='draw-gallery'] img\")?.src != window.before").await;
    page.drawn().await;
}

/// Draws by the command that the page shows, and compares the first picture's bytes with the page's. Returns the command.
async fn same_by_command(page: &Page) -> String {
    let folder = tempfile::tempdir().unwrap();
    page.save("[data-testid='draw-gallery'] img", &folder.path().join("page.png")).await;
    let command = page.browser.text("draw-command").await;
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[..2], ["ddim", "sample"], "{command}");
    common::ok(folder.path(), &[&words[1..], &["--out", "out"]].concat());
    assert!(fs::read(folder.path().join("page.png")).unwrap() == fs::read(folder.path().join("out/00000.png")).unwrap(), "{command}");
    command
}

pub(crate) async fn the_command_draws_the_same(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    browser.click("draw-count-4").await;
    page.set("draw-steps-number", "6").await;
    page.set("draw-seed", "12").await;
    browser.until("document.querySelector(\"[data-testid='draw-command']\").textContent.includes('--seed 12')").await;
    page.drawn().await;
    let command = same_by_command(&page).await;
    // These are the classes that the model lists.
    assert!(!command.contains("--classes"), "{command}");
    assert!(page.is_pressed("draw-classes-own").await);

    // Another model has other classes, and guidance of its own: the page shows it, and draws with it as the command does, which need not say it.
    browser.click("draw-classes-heart").await;
    page.drawn().await;
    redrawn_with(&page, "draw-model", "fashion").await;
    assert_eq!(browser.value("draw-guidance-number").await, "2");
    let command = same_by_command(&page).await;
    assert!(command.contains("--model fashion") && !command.contains("--guidance") && !command.contains("heart"), "{command}");

    // Guided at some levels only, and with guidance at all no longer.
    redrawn_with(&page, "draw-levels", "0, .5").await;
    let command = same_by_command(&page).await;
    assert!(command.contains("--guidance-interval 0,0.5"), "{command}");
    page.set("draw-guidance-number", "1").await;
    browser.until("document.querySelector(\"[data-testid='draw-command']\").textContent.includes('--guidance 1')").await;
    assert!(!browser.text("draw-command").await.contains("interval"));
    page
}

pub(crate) async fn what_is_wrong_is_said_beside_its_control(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    // More steps than the server takes: as whoever edits the link would ask for.
    browser.run("location.hash = '#draw?steps=10&trajectory=power:0';").await;
    browser.until("[...document.querySelectorAll('#panel-draw .error')].some((e) => !e.hidden && e.textContent.length > 10)").await;
    let value: Value = browser
        .run("return [...document.querySelectorAll('#panel-draw .error')].filter((e) => !e.hidden).map((e) => e.textContent).join(' ');")
        .await;
    assert!(value.as_str().unwrap().contains("power"), "{value}");
    // What a browser itself logs of an answer of 400 is not the page's complaint.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("status of 400")), "{complaints:?}");
    page
}

pub(crate) async fn pictures_of_other_settings_are_dimmed(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    let stale = "document.querySelector(\"[data-testid='draw-gallery']\").classList.contains('stale')";
    assert_eq!(browser.run(&format!("return {stale};")).await, false);
    browser.click("draw-count-64").await;
    page.set("draw-steps-number", "1000").await;
    browser.until("document.getElementById('panel-draw').ariaBusy === 'true'").await;
    browser.click("draw-cancel").await;
    browser.until(&format!("document.getElementById('panel-draw').ariaBusy === 'false' && {stale}")).await;
    browser.click("draw-count-1").await;
    page.set("draw-steps-number", "5").await;
    browser.until(&format!("document.getElementById('panel-draw').ariaBusy === 'false' && !({stale})")).await;
    page
}

pub(crate) async fn links_say_what_is_not_here(page: Page) -> Page {
    let browser = &page.browser;
    page.drawn().await;
    browser.run("location.hash = '#draw?model=nothing&classes=heart&clip=foo&seed=3';").await;
    browser
        .until(
            "[...document.querySelectorAll(\"[data-testid='toast']\")].filter((line) => line.textContent.includes('nothing')).length === 1",
        )
        .await;
    browser.until("location.hash.includes('model=emoji') && !location.hash.includes('heart')").await;
    assert_eq!(browser.value("draw-seed").await, "3");
    assert_eq!(browser.value("draw-clip").await, "model");
    // No tab, though every object has it.
    browser.run("location.hash = '#toString';").await;
    browser.until("location.hash.startsWith('#draw?') && location.hash.includes('seed=3')").await;
    assert_eq!(browser.run("return document.getElementById('panel-draw').hidden;").await, false);
    // Of lists that have nothing, the usual ones.
    browser.run("location.hash = '#grid?steps=5000&solvers=,&etas=x';").await;
    browser.until("document.querySelectorAll(\"[data-testid='grid-table'] tbody tr\").length === 5").await;
    browser.until("document.querySelectorAll(\"[data-testid='grid-table'] thead th\").length === 4").await;
    page
}
