//! Paths, their responses, and the descriptions of errors.

use serde_json::{Map, Value, json};

/// Statuses of what is wrong, and what they mean.
const PROBLEMS: [(&str, &str); 11] = [
    ("400", "The request is invalid."),
    ("401", "The token is missing or wrong."),
    ("403", "The Host header does not name this server, or the request comes from a page of another site."),
    ("404", "Not found, or no longer remembered."),
    ("408", "The body did not arrive in time."),
    ("409", "The job is not done."),
    ("413", "The body is too large."),
    ("415", "The body is not JSON."),
    ("429", "The queue is full."),
    ("500", "Internal server error."),
    ("503", "The server is shutting down, or is reading too many large bodies."),
];

/// What can come of any request.
const ALWAYS: [&str; 4] = ["400", "401", "403", "500"];

/// What can come of a request with a body.
const POSTED: [&str; 4] = ["408", "413", "415", "503"];

/// What a job tells.
const EVENTS: [&str; 12] =
    ["queued", "began", "step", "progress", "preview", "note", "line", "ended", "gap", "done", "failed", "cancelled"];

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn json_of(description: &str, name: &str) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema(name) } } })
}

/// An answer that is no JSON.
fn bytes(description: &str, kind: &str) -> Value {
    let schema = if kind.contains("text") { json!({ "type": "string" }) } else { json!({}) };
    json!({ "description": description, "content": { kind: { "schema": schema } } })
}

/// An operation that answers `ok` under `status`, or what is wrong.
fn operation([id, tag, summary]: [&str; 3], parameters: &[Value], (status, ok): (&str, Value), wrong: &[&str]) -> Value {
    let mut responses = Map::from_iter([(status.to_owned(), ok)]);
    let prefix = if tag == "openai" { "OpenAi" } else { "Problem" };
    for status in ALWAYS.iter().chain(wrong) {
        responses.insert((*status).to_owned(), json!({ "$ref": format!("#/components/responses/{prefix}{status}") }));
    }
    let mut operation = json!({ "operationId": id, "tags": [tag], "summary": summary, "responses": responses });
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    operation
}

/// The same with a body of JSON.
fn posted(names: [&str; 3], body: &str, ok: (&str, Value), wrong: &[&str]) -> Value {
    let mut operation = operation(names, &[], ok, &[&POSTED, wrong].concat());
    operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema(body) } } });
    operation
}

fn in_path(name: &str, what: &Value, description: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": what, "description": description })
}

/// All paths.
pub(super) fn all() -> Value {
    let text = json!({ "type": "string" });
    let id = || in_path("id", &json!({ "type": "integer", "minimum": 1 }), "The job's number.");
    let run = || in_path("name", &text, "The run's name.");
    // As tools read it, the schema is that of an event.
    let told = json!({
        "description": "Events as they occur, each with `id`, `event`, and `data`, which is one line of JSON.",
        "content": { "text/event-stream": { "schema": schema("Event") } },
    });
    let mut events = operation(
        ["followJob", "jobs", "Streams a job's events, up to its end, as server-sent events."],
        &[
            id(),
            json!({
                "name": "Last-Event-ID", "in": "header", "schema": { "type": "integer", "minimum": 0 },
                "description": "Send only events after this one.",
            }),
        ],
        ("200", told),
        &["404"],
    );
    events["description"] = json!(
        "`queued` {before}; `began` {phase, unit, total}; `step` {timestep, step, steps, first, count}; `progress` {done, total, seconds, eta_seconds}; \
         `preview` {step, timestep, first, shape, x_t, x_0}, where `x_t` and `x_0` are data URLs of PNGs of up to 16 images, arranged as close to a square as possible; `note` {kind, text}; \
         `line` {text}; `ended`; `gap` {events}, where that many events were forgotten; finally `done`, `failed` or `cancelled` with the job, and the stream ends."
    );
    let submitted = json!({
        "description": "The queued job.",
        "headers": { "Location": { "schema": text, "description": "Path of the job." } },
        "content": { "application/json": { "schema": schema("Job") } },
    });
    let health = {
        let mut health =
            operation(["health", "server", "Reports that the server is up."], &[], ("200", json_of("The server is up.", "Health")), &[]);
        // Asked without the token.
        health["security"] = json!([]);
        health["responses"].as_object_mut().map(|responses| responses.shift_remove("401"));
        health
    };
    json!({
        "/healthz": { "get": health },
        "/metrics": { "get": operation(
            ["metrics", "server", "Returns counters and gauges for Prometheus."], &[], ("200", bytes("Metrics in the OpenMetrics text format.", "application/openmetrics-text")), &[],
        ) },
        "/api/v1/openapi.json": { "get": operation(
            ["document", "server", "Returns this document."], &[], ("200", json!({ "description": "An OpenAPI 3.1 document.", "content": { "application/json": { "schema": { "type": "object" } } } })), &[],
        ) },
        "/api/v1/models": { "get": operation(["models", "models", "Lists the models, the default first."], &[], ("200", json_of("The models.", "Models")), &[]) },
        "/api/v1/plan": { "post": posted(
            ["plan", "models", "Returns the steps that a request would take, and their coefficients, without drawing anything."],
            "Sample", ("200", json_of("The steps.", "PlanReport")), &[],
        ) },
        "/api/v1/jobs": {
            "get": operation(["jobs", "jobs", "Lists the jobs that are remembered, the newest first."], &[], ("200", json_of("The jobs.", "Jobs")), &[]),
            "post": posted(["submitJob", "jobs", "Queues a job."], "JobRequest", ("202", submitted), &["429"]),
        },
        "/api/v1/jobs/{id}": {
            "get": operation(["job", "jobs", "Returns a job's state and, when it is over, its outcome."], &[id()], ("200", json_of("The job.", "Job")), &["404"]),
            "delete": operation(
                ["cancelJob", "jobs", "Cancels a job: immediately if it is queued, otherwise between two steps."],
                &[id()], ("202", json_of("The job, which may still be running.", "Job")), &["404"],
            ),
        },
        "/api/v1/jobs/{id}/events": { "get": events },
        "/api/v1/jobs/{id}/result.npy": { "get": operation(
            ["jobArray", "jobs", "Returns the batch of a job that is done: images, or latents for encode."],
            &[id()], ("200", bytes("A .npy file of f32, [n, c, h, w].", "application/octet-stream")), &["404", "409"],
        ) },
        "/api/v1/jobs/{id}/grid.png": { "get": operation(
            ["jobGrid", "jobs", "Returns all results of a job that is done as one picture, as the command line draws it."],
            &[id()], ("200", bytes("The picture.", "image/png")), &["404", "409"],
        ) },
        "/api/v1/jobs/{id}/images/{name}": { "get": operation(
            ["jobImage", "jobs", "Returns one image of a job that is done."],
            &[id(), in_path("name", &json!({ "type": "string", "pattern": r"^[0-9]+\.png$" }), "The image's number, followed by .png.")],
            ("200", bytes("The image.", "image/png")), &["404", "409"],
        ) },
        "/api/v1/runs": { "get": operation(["runs", "runs", "Lists the training runs that the server was started with."], &[], ("200", json_of("The runs.", "Runs")), &[]) },
        "/api/v1/runs/{name}": { "get": operation(
            ["run", "runs", "Returns a training run: its settings, metrics and previews."], &[run()], ("200", json_of("The run.", "Run")), &["404"],
        ) },
        "/api/v1/runs/{name}/previews/{file}": { "get": operation(
            ["runPreview", "runs", "Returns a picture of images that a run drew while training."],
            &[run(), in_path("file", &json!({ "type": "string", "pattern": r"\.png$" }), "The file's name, as in the run's `previews`.")],
            ("200", bytes("The picture.", "image/png")), &["404"],
        ) },
        "/v1/images/generations": { "post": posted(
            ["createImages", "openai", "Draws images and responds when they are done. Closing the connection cancels the job."],
            "ImagesRequest", ("200", json_of("The images.", "Images")), &["404", "429"],
        ) },
        "/v1/models": { "get": operation(["openAiModels", "openai", "Lists the models, the default first."], &[], ("200", json_of("The models.", "OpenAiModels")), &[]) },
        "/v1/models/{id}": { "get": operation(
            ["openAiModel", "openai", "Returns a model."], &[in_path("id", &text, "The model's name, which may contain slashes.")],
            ("200", json_of("The model.", "OpenAiModel")), &["404"],
        ) },
    })
}

/// What is wrong, in our words and in OpenAI's.
pub(super) fn problems() -> Value {
    let mut all = Map::new();
    for (prefix, name) in [("Problem", "Problem"), ("OpenAi", "OpenAiProblem")] {
        for (status, description) in PROBLEMS {
            let mut response = json_of(description, name);
            if ["429", "503"].contains(&status) {
                let seconds = json!({ "schema": { "type": "integer" }, "description": "Seconds to wait before trying again." });
                response["headers"] = json!({ "Retry-After": seconds });
            }
            all.insert(format!("{prefix}{status}"), response);
        }
    }
    Value::Object(all)
}

/// An object with these fields, all of which are there.
fn object(description: &str, properties: Value) -> Value {
    let required: Vec<String> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    json!({ "type": "object", "description": description, "required": required, "properties": properties })
}

/// Schemas of answers that are no types of the engine.
pub(super) fn answers(kinds: &[(&str, &str)]) -> Vec<(&'static str, Value)> {
    let [text, whole] = ["string", "integer"].map(|kind| json!({ "type": kind }));
    let [maybe_text, maybe_whole] = ["string", "integer"].map(|kind| json!({ "type": [kind, "null"] }));
    let many = |items: &Value| json!({ "type": "array", "items": items });
    let run = json!({ "name": text, "step": maybe_whole, "steps": maybe_whole });
    let job = json!({
        "type": "object",
        "description": "A job.",
        "required": ["id", "kind", "state", "request", "events"],
        "properties": {
            "id": whole,
            "kind": { "enum": kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>() },
            "state": { "enum": ["queued", "running", "done", "failed", "cancelled"] },
            "request": { "type": "object", "description": "The request in a form that can be sent again, without uploads." },
            "previews": whole,
            "events": { "type": "string", "description": "Path of the job's events." },
            "report": {
                "description": "The engine's report. Only when the job is done.",
                "anyOf": kinds.iter().map(|(_, request)| schema(&format!("{request}Report"))).collect::<Vec<_>>(),
            },
            "images": { "type": "array", "items": text, "description": "Paths of the job's images. Only when it is done." },
            "grid": { "type": ["string", "null"], "description": "Path of one picture of the whole job, if there is one. Only when it is done." },
            "array": { "type": ["string", "null"], "description": "Path of the job's batch, a .npy file, if there is one. Only when it is done." },
            "error": { "type": "string", "description": "Why the job failed, in one line. Only when it failed." },
            "field": { "type": ["string", "null"], "description": "The field of the request that the error is about, if any. Only when the job failed." },
        },
    });
    let model = object("A model.", json!({ "id": text, "object": { "const": "model" }, "created": whole, "owned_by": text }));
    let image = json!({ "type": "object", "properties": { "b64_json": text, "url": text } });
    let said = object("An error.", json!({ "message": text, "type": text, "param": maybe_text, "code": maybe_text }));
    vec![
        ("Job", job),
        (
            "Jobs",
            object("Jobs.", json!({ "jobs": many(&object("A job.", json!({ "id": whole, "kind": text, "model": text, "state": text }))) })),
        ),
        (
            "Event",
            json!({
                "type": "object",
                "description": "An event of a job.",
                "required": ["event", "data"],
                "properties": {
                    "id": { "type": "string", "description": "The event's number, from 1; absent for `gap`." },
                    "event": { "enum": EVENTS },
                    "data": { "type": "string", "contentMediaType": "application/json" },
                },
            }),
        ),
        (
            "Problem",
            object(
                "An error.",
                json!({ "error": { "type": "string", "description": "What is wrong, in one line." }, "field": maybe_text }),
            ),
        ),
        (
            "Health",
            object(
                "The server is up: `waiting` counts queued jobs, `jobs` those remembered; `not_kept` is the last error of writing to the job store.",
                json!({ "status": { "const": "ok" }, "waiting": whole, "jobs": whole, "not_kept": maybe_text }),
            ),
        ),
        ("Models", object("The models.", json!({ "models": many(&schema("ServedModel")) }))),
        (
            "ServedModel",
            json!({
                "description": "A model.",
                "allOf": [
                    schema("InfoReport"),
                    object(
                        "The model's origin.",
                        json!({ "source": {
                            "type": ["string", "null"],
                            "description": "The model's name on the command line of any machine: a built-in model or a model id on the hub. Null for a folder.",
                        } }),
                    ),
                ],
            }),
        ),
        ("Runs", object("Training runs.", json!({ "runs": many(&object("A run.", run)) }))),
        (
            "Run",
            object(
                "A training run: `config` is TOML, `metrics` are the lines of its metrics, `previews` are paths.",
                json!({ "name": text, "steps": maybe_whole, "config": text, "metrics": many(&json!({ "type": "object" })), "previews": many(&text) }),
            ),
        ),
        ("OpenAiModel", model),
        ("OpenAiModels", object("The models.", json!({ "object": { "const": "list" }, "data": many(&schema("OpenAiModel")) }))),
        (
            "Images",
            object("Images.", json!({ "created": { "type": "integer", "description": "Unix time in seconds." }, "data": many(&image) })),
        ),
        ("OpenAiProblem", object("An error.", json!({ "error": said }))),
    ]
}
