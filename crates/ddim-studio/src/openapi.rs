//! The API as an OpenAPI 3.1 document: requests and reports from the engine's types, paths and responses as in [`routes`](crate::routes).

use crate::openai::{self, Format, Images};
use ddim_engine::{Consistency, ConsistencyReport, Edit, EditReport, Encode, EncodeReport, InfoReport, Interpolate};
use ddim_engine::{InterpolateReport, PlanReport, Reconstruct, ReconstructReport, Sample, SampleReport};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

mod paths;

/// Kinds of job, with the names of their requests' schemas.
const KINDS: [(&str, &str); 6] = [
    ("sample", "Sample"),
    ("consistency", "Consistency"),
    ("interpolate", "Interpolate"),
    ("encode", "Encode"),
    ("reconstruct", "Reconstruct"),
    ("edit", "Edit"),
];

/// Fields that name files in the engine and that clients send as data URLs instead.
const SENT: [(&str, &str, &str); 6] = [
    ("Sample", "latents", NPY),
    ("Interpolate", "latents", NPY),
    ("Encode", "input", PICTURE),
    ("Reconstruct", "input", PICTURE),
    ("Edit", "input", PICTURE),
    ("Edit", "mask", MASK),
];
const NPY: &str = "Latents to use instead of the seed's: a data URL of a .npy file of f32, [n, c, h, w].";
const PICTURE: &str = "A data URL of an image (PNG, JPEG, WebP, GIF), or of a .npy file of f32 in [-1, 1], [n, c, h, w].";
const MASK: &str = "A data URL of an image of the model's size: white is redrawn and black is kept; gray is redrawn only from that fraction of the levels downwards, and so changes less.";

/// Descriptions for requests to a server, where the engine's own lack something or refer to its types.
const WORDS: [(&str, &str, &str); 13] = [
    ("Model", "model", "Name of a model on this server. Defaults to the first."),
    (
        "Model",
        "classes",
        "Classes of a conditional model: numbers, names or mixtures of them (`cat+dog`, `0.3*cat+0.7*dog`), separated by commas, and `none` for a model \
         trained with label dropout; or `each`, or `random`. \
         Defaults to the model's `drawn_classes`, else `each`, where images are drawn from a seed alone; otherwise to no class.",
    ),
    ("Guidance", "", "Classifier-free guidance, for models trained with a null class."),
    (
        "Encode",
        "",
        "Encodes images to latents that decode to them again over the same trajectory. Nothing is clipped. The inversion euler encodes as in the paper; the others \
         find the latent that DDIM's own steps turn into the image.",
    ),
    ("Sample", "solver", "How a step uses earlier predictions of the network."),
    ("Consistency", "solver", "How a step uses earlier predictions of the network."),
    ("Interpolate", "solver", "How a step uses earlier predictions of the network."),
    ("Encode", "inversion", "How the encoding steps are solved. bdia is not allowed, because a latent is only half of its state."),
    ("Reconstruct", "solver", "How latents are decoded. With the inversion bdia, only ddim is allowed."),
    (
        "Edit",
        "inversion",
        "Start from the image's latent, found by this inversion, instead of from noise. Defaults to noise, or to anderson with `from_class` or `to_model`.",
    ),
    (
        "Edit",
        "to_model",
        "Name of another model on this server, of images of the same shape, that decodes; the classes that are drawn are then its classes.",
    ),
    (
        "Edit",
        "repaint",
        "RePaint's resampling jumps, with a mask. Defaults to 5 times every 5 steps with a mask and without an inversion; `times: 1` disables them.",
    ),
    ("Repaint", "", "How many times each stretch of the trajectory is run (RePaint, arXiv 2201.09865)."),
];

/// The document.
pub(crate) fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| value().to_string());
    &DOCUMENT
}

fn value() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ddim studio",
            "summary": "Runs jobs on diffusion models and streams their progress.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT or Apache-2.0", "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "jobs", "description": "Drawing, encoding and editing images." },
            { "name": "models", "description": "The models that the server was started with." },
            { "name": "runs", "description": "Training runs and their progress." },
            { "name": "openai", "description": "OpenAI's image API, as far as it maps onto models that read no text." },
            { "name": "server", "description": "Health, metrics and this document." },
        ],
        // Without a token where the server has none.
        "security": [{}, { "token": [] }],
        "paths": paths::all(),
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "The token that the server was started with, if any." } },
            "responses": paths::problems(),
            "schemas": schemas(),
        },
    })
}

/// The schema of a type and those that it refers to.
fn of<T: ToSchema>() -> Vec<(String, RefOr<Schema>)> {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    found
}

/// All schemas by name.
fn schemas() -> Value {
    let requests = [of::<Sample>(), of::<Consistency>(), of::<Interpolate>(), of::<Encode>(), of::<Reconstruct>(), of::<Edit>()];
    let reports = [
        of::<SampleReport>(),
        of::<ConsistencyReport>(),
        of::<InterpolateReport>(),
        of::<EncodeReport>(),
        of::<ReconstructReport>(),
        of::<EditReport>(),
        of::<InfoReport>(),
        of::<PlanReport>(),
    ];
    let rest = [of::<Images>(), of::<Format>()];
    let mut all = Map::new();
    for (name, schema) in requests.into_iter().chain(reports).chain(rest).flatten() {
        all.entry(name).or_insert_with(|| json!(schema));
    }
    let mut all = Value::Object(all);
    tidy(&mut all);
    for (schema, field, text) in WORDS.into_iter().chain(SENT) {
        let at = if field.is_empty() { &mut all[schema] } else { &mut all[schema]["properties"][field] };
        at["description"] = json!(text);
    }
    for (schema, field, _) in SENT {
        let field_of = &mut all[schema]["properties"][field];
        field_of["format"] = json!("uri");
        field_of["pattern"] = json!("^data:[^,]*;base64,");
        // An upload that has to be there: its default is no upload.
        if field == "input" {
            field_of.as_object_mut().and_then(|fields| fields.shift_remove("default"));
            all[schema]["required"] = json!([field]);
        }
    }
    // The default is the first model that the server was started with.
    let with_model = KINDS.iter().map(|(_, request)| *request).chain(["Model"]);
    for schema in with_model {
        all[schema]["properties"]["model"].as_object_mut().and_then(|fields| fields.shift_remove("default"));
    }
    for (field, mut values) in openai::fixed() {
        values.push(Value::Null);
        all["ImagesRequest"]["properties"][field] =
            json!({ "enum": values, "description": "Accepted for compatibility, with values that have no effect." });
    }
    // One of those that there are.
    all["ImagesRequest"]["properties"]["solver"]["oneOf"] = json!([{ "type": "null" }, reference("Solver")]);
    all["ImagesRequest"]["properties"]["solver"].as_object_mut().and_then(|fields| fields.shift_remove("type"));
    all["JobRequest"] = job_request();
    for (kind, request) in KINDS {
        all[format!("{request}Job")] = job_of(kind, request);
    }
    for (name, schema) in paths::answers(&KINDS) {
        all[name] = schema;
    }
    all
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// The body of a request for a job of any kind.
fn job_request() -> Value {
    let mapping: Map<String, Value> =
        KINDS.iter().map(|(kind, request)| ((*kind).to_owned(), json!(format!("#/components/schemas/{request}Job")))).collect();
    json!({
        "description": "A job: its kind, and the request to the engine.",
        "oneOf": KINDS.map(|(_, request)| reference(&format!("{request}Job"))),
        "discriminator": { "propertyName": "kind", "mapping": mapping },
    })
}

fn job_of(kind: &str, request: &str) -> Value {
    let needs = SENT.iter().any(|(schema, field, _)| (*schema, *field) == (request, "input"));
    json!({
        "type": "object",
        "required": if needs { vec!["kind", "request"] } else { vec!["kind"] },
        "properties": {
            "kind": { "const": kind },
            "request": reference(request),
            "previews": { "type": ["integer", "null"], "minimum": 0, "description": "Number of previews of the first batch to send while it is drawn. Defaults to 16." },
        },
        "additionalProperties": false,
    })
}

/// For readers of JSON: descriptions without examples in Rust or links to its types, and beside what they describe.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match value {
                    Value::String(text) if name == "description" => *text = plain(text),
                    _ => tidy(value),
                }
            }
            // A reference, or nothing: the description is of both. A reference alone needs no choice around it.
            if let Some(Value::Array(choices)) = fields.get_mut("oneOf")
                && let Some(description) = choices.last_mut().filter(|choice| choice.get("$ref").is_some()).and_then(described)
            {
                let alone = if choices.len() == 1 { choices.pop() } else { None };
                if let Some(Value::Object(reference)) = alone {
                    fields.shift_remove("oneOf");
                    fields.extend(reference);
                }
                fields.insert("description".to_owned(), description);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The description, taken out.
fn described(schema: &mut Value) -> Option<Value> {
    schema.as_object_mut()?.shift_remove("description")
}

/// Text of Rust's documentation without its code, and with the names alone of what it links to.
fn plain(text: &str) -> String {
    // What stands between fences is every second piece.
    let text: String = text.split("```").step_by(2).collect();
    // A paragraph is a line.
    let text = text.trim().split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    let mut out = String::new();
    let mut rest = &*text;
    while let Some((before, after)) = rest.split_once('[') {
        out += before;
        let Some((inner, behind)) = after.split_once(']') else { break };
        let target = behind.strip_prefix('(').and_then(|behind| behind.split_once(')'));
        match target {
            Some((_, behind)) => (out, rest) = (out + inner, behind),
            None if inner.starts_with('`') => (out, rest) = (out + inner, behind),
            // A shape, no link.
            None => (out, rest) = (out + "[" + inner + "]", behind),
        }
    }
    (out + rest).replace("None: ", "Null: ").replace("None where", "Null where").replace("None of", "Null of")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddim_engine::{BatchSize, Eta, Inversion, Solver, Spacing};
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use std::collections::BTreeSet;

    /// Fields of the engine's requests that no client may set.
    const OURS: [&str; 8] = ["scheduler", "files", "grid", "save_npy", "animate", "no_labels", "inception", "features"];

    /// A validator of one of the document's schemas.
    fn validator(schema: &str) -> jsonschema::Validator {
        let mut root = value();
        root["$ref"] = json!(format!("#/components/schemas/{schema}"));
        jsonschema::options().build(&root).unwrap_or_else(|error| panic!("{schema}: {error}"))
    }

    #[test]
    fn what_the_engine_asks_for_by_default_fits() {
        fn check<T: Serialize + DeserializeOwned + Default>(kind: &str, schema: &str) {
            let mut request = json!(T::default());
            OURS.iter().for_each(|field| drop(request.as_object_mut().unwrap().shift_remove(*field)));
            request["model"].as_object_mut().unwrap().shift_remove("scheduler");
            if request.get("input").is_some() {
                request["input"] = json!("data:image/png;base64,AAAA");
            }
            serde_json::from_value::<T>(request.clone()).unwrap();
            let errors = |schema: &str, value: &Value| {
                validator(schema).iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect::<Vec<_>>()
            };
            assert_eq!(errors(schema, &request), [""; 0], "{request}");
            let job = json!({ "kind": kind, "request": request, "previews": 4 });
            assert_eq!(errors("JobRequest", &job), [""; 0], "{job}");
            let wrong = json!({ "kind": kind, "request": { "no_such_field": 1 } });
            assert!(!validator("JobRequest").is_valid(&wrong));
        }
        check::<Sample>("sample", "Sample");
        check::<Consistency>("consistency", "Consistency");
        check::<Interpolate>("interpolate", "Interpolate");
        check::<Encode>("encode", "Encode");
        check::<Reconstruct>("reconstruct", "Reconstruct");
        check::<Edit>("edit", "Edit");
        assert!(!validator("JobRequest").is_valid(&json!({ "kind": "encode" })), "an upload has to be there");
        assert!(validator("JobRequest").is_valid(&json!({ "kind": "sample" })));
    }

    #[test]
    fn what_schemas_accept_serde_reads() {
        fn check<T: DeserializeOwned>(schema: &str, good: &[Value], bad: &[Value]) {
            let validator = validator(schema);
            for (examples, fits) in [(good, true), (bad, false)] {
                for example in examples {
                    assert_eq!(validator.is_valid(example), fits, "the schema {schema}: {example}");
                    assert_eq!(serde_json::from_value::<T>(example.clone()).is_ok(), fits, "serde, {schema}: {example}");
                }
            }
        }
        check::<Eta>("Eta", &[json!(0), json!(0.25), json!(1.0), json!("hat")], &[json!("high"), json!(null), json!([])]);
        check::<BatchSize>("BatchSize", &[json!(1), json!(64), json!("auto")], &[json!(-1), json!(1.5), json!("64"), json!(null)]);
        check::<Spacing>("Spacing", &Spacing::ALL.map(|spacing| json!(spacing)), &[json!("power:0"), json!("power:-1"), json!("lead")]);
        check::<Spacing>("Spacing", &[json!("power"), json!("power:.5"), json!("karras:12")], &[json!("karras:"), json!("log-snr:1")]);
        let good = ["euler", "fixed-point:3", "anderson", "anderson:30:0.0001", "fixed-point:1000:0", "bdia"];
        let bad = ["anderson:0", "fixed-point:1001", "bdia:1", "euler:1", "anderson:3:-1", "anderson:3:1:1"];
        check::<Inversion>("Inversion", &good.map(|text| json!(text)), &bad.map(|text| json!(text)));
        assert!(!validator("Spacing").is_valid(&json!("tuned:file.json")), "no request names files");
        assert_eq!(value()["components"]["schemas"]["Solver"]["enum"], json!(Solver::ALL.map(Solver::name)));
    }

    #[test]
    fn nothing_that_is_refused_is_offered() {
        let schemas = value()["components"]["schemas"].take();
        for (name, schema) in schemas.as_object().unwrap() {
            let fields: Vec<&String> = schema["properties"].as_object().into_iter().flat_map(Map::keys).collect();
            // A model's scheduler is in what is told of it, and where its grid is in what is told of a job.
            let wrong = fields.iter().find(|field| OURS.contains(&field.as_str()) && !["InfoReport", "Job"].contains(&&**name));
            assert_eq!(wrong, None, "{name}");
        }
        for (_, request) in KINDS {
            assert_eq!(schemas[request]["additionalProperties"], json!(false), "{request}");
            assert!(schemas[request]["properties"]["model"].is_object(), "{request}");
        }
        for (schema, field, _) in SENT.into_iter().chain(WORDS).filter(|(_, field, _)| !field.is_empty()) {
            let found = schemas[schema]["properties"][field].as_object().unwrap();
            assert!(found.contains_key("type") || found.contains_key("$ref") || found.contains_key("oneOf"), "{schema}.{field}: {found:?}");
        }
    }

    #[test]
    fn references_lead_somewhere_and_words_are_plain() {
        fn each(value: &Value, look: &mut impl FnMut(&str, &str)) {
            match value {
                Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
                    Value::String(text) => look(name, text),
                    _ => each(value, look),
                }),
                Value::Array(items) => items.iter().for_each(|value| each(value, look)),
                _ => {}
            }
        }
        let document = value();
        let (mut references, mut rough) = (0, Vec::new());
        each(&document, &mut |name, text| match name {
            "$ref" => {
                references += 1;
                assert!(document.pointer(text.strip_prefix('#').unwrap()).is_some(), "{text}");
            }
            "description" if ["::", "[`", "```", "None"].iter().any(|mark| text.contains(mark)) => rough.push(text.to_owned()),
            _ => {}
        });
        assert_eq!(rough, [""; 0]);
        assert!(references > 50, "{references}");
        assert_eq!(plain("See [`X`](crate::X) and [`Y`], [n, c].\n\n```\nlet x = [0];\n```"), "See `X` and `Y`, [n, c].");
    }

    #[test]
    fn paths_are_those_of_the_router() {
        let of_router: BTreeSet<String> = include_str!("routes.rs")
            .split(".route(\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().replace("{*", "{"))
            .filter(|path| ["/api/", "/v1/", "/healthz", "/metrics"].iter().any(|start| path.starts_with(start)))
            .collect();
        let of_document: BTreeSet<String> = value()["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(of_document, of_router);
    }
}
