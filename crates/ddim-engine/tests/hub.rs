//! Models from a hub on this machine, into a cache that Python's `huggingface_hub` would know.

#[path = "hub/server.rs"]
mod server;

use ddim_engine::hub::{Fetched, HubId, Options, Progress, fetch};
use ddim_engine::{Error, ErrorKind};
use ddim_nn::{Choices, Pipeline};
use server::{COMMIT, Hub, Request, etag};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";
const OURS: [&str; 4] = ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json", WEIGHTS];

fn emoji() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/emoji")
}

/// The model and what lies beside it on the hub.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = OURS.iter().map(|file| (file.to_string(), std::fs::read(emoji().join(file)).unwrap())).collect();
    for other in [".gitattributes", "README.md", "unet/diffusion_pytorch_model.bin", "unet/diffusion_flax_model.msgpack"] {
        files.push((other.to_owned(), b"not for us".to_vec()));
    }
    files
}

/// A hub and an empty cache.
struct Case {
    hub: Hub,
    cache: tempfile::TempDir,
    options: Options,
}

impl Case {
    fn new() -> Self {
        Self::of(&files())
    }

    fn of(files: &[(String, Vec<u8>)]) -> Self {
        let (hub, cache) = (Hub::start(files), tempfile::tempdir().unwrap());
        let options = options(&hub.address, cache.path());
        Self { hub, cache, options }
    }

    fn fetch(&self) -> Result<Fetched, Error> {
        self.fetch_id("org/emoji")
    }

    fn fetch_id(&self, id: &str) -> Result<Fetched, Error> {
        fetch(&id.parse().unwrap(), &self.options, &mut |_| ControlFlow::Continue(()))
    }

    fn error(&self, kind: ErrorKind) -> String {
        let error = self.fetch().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let line = error.to_string();
        assert!(!line.contains('\n'));
        line
    }

    fn repository(&self) -> PathBuf {
        self.cache.path().join("models--org--emoji")
    }

    fn weights_blob(&self) -> PathBuf {
        self.repository().join("blobs").join(etag(WEIGHTS, &weights()))
    }

    fn partial(&self) -> PathBuf {
        let blob = self.weights_blob();
        blob.with_file_name(format!("{}.incomplete", blob.file_name().unwrap().to_str().unwrap()))
    }
}

fn options(address: &str, cache: &Path) -> Options {
    let mut options = Options::new(cache);
    options.endpoint = address.to_owned();
    options.timeout = Duration::from_secs(20);
    options.pause = Duration::from_millis(1);
    options
}

fn weights() -> Vec<u8> {
    std::fs::read(emoji().join(WEIGHTS)).unwrap()
}

/// The downloads of the weights: where each began.
fn weight_ranges(requests: &[Request]) -> Vec<Option<&str>> {
    let weights = requests.iter().filter(|r| r.method == "GET" && r.path.contains(WEIGHTS));
    weights.map(|r| r.headers.get("range").map(String::as_str)).collect()
}

fn assert_loads(fetched: &Fetched) {
    let loaded = Pipeline::load_with(&fetched.folder, &Choices::default()).unwrap();
    assert_eq!(loaded.unet.values(), Pipeline::load(&emoji()).unwrap().unet.values());
}

#[test]
fn a_whole_model_comes_once() {
    let case = Case::new();
    let (mut last, mut falls) = ((0, None), 0);
    let fetched = fetch(&"org/emoji".parse().unwrap(), &case.options, &mut |progress| {
        if let Progress::Bytes { come, total, .. } = progress {
            falls += usize::from(come < last.0);
            last = (come, total);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let bytes: u64 = OURS.iter().map(|file| emoji().join(file).metadata().unwrap().len()).sum();
    assert_eq!((last, falls), ((bytes, Some(bytes)), 0));
    assert_eq!((fetched.commit.as_str(), fetched.notes.len()), (COMMIT, 0));
    assert_loads(&fetched);
    assert_eq!(fetched.folder, case.repository().join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read_to_string(case.repository().join("refs/main")).unwrap(), COMMIT);
    #[cfg(unix)]
    for file in OURS {
        let link = std::fs::read_link(fetched.folder.join(file)).unwrap();
        let up = "../".repeat(2 + file.matches('/').count());
        assert_eq!(link.to_str().unwrap(), format!("{up}blobs/{}", etag(file, &std::fs::read(emoji().join(file)).unwrap())));
    }
    let names = std::fs::read_dir(case.repository().join("blobs")).unwrap().count();
    assert_eq!(names, OURS.len(), "partial files are left");
    let requests = case.hub.requests();
    for file in OURS {
        let of: Vec<&str> = requests.iter().filter(|r| r.path.ends_with(file)).map(|r| r.method.as_str()).collect();
        assert_eq!(of, ["HEAD", "GET"], "{file}");
    }
    assert_eq!(requests.len(), 1 + 2 * OURS.len(), "what is not ours was asked for: {requests:?}");
    assert!(requests.iter().all(|r| !r.headers.contains_key("authorization")));

    // A second time only the branch is asked for; a commit is not.
    assert_eq!(case.fetch().unwrap(), fetched);
    assert_eq!(case.hub.requests().iter().map(|r| r.path.as_str()).collect::<Vec<_>>(), ["/api/models/org/emoji/revision/main"]);
    assert_eq!(case.fetch_id(&format!("org/emoji@{COMMIT}")).unwrap(), fetched);
    assert_eq!(case.hub.requests().len(), 0);
}

/// The averages of a run are in its state, which comes where they are wanted; where there is none, nothing comes.
#[test]
fn the_state_of_a_run_comes_where_its_averages_are_wanted() {
    const STATE: &str = "training_state.safetensors";
    let mut case = Case::new();
    case.options.state = true;
    let line = case.error(ErrorKind::Request);
    assert!(line.contains("`ema`: org/emoji") && line.contains("has no training_state.safetensors"), "{line}");
    assert!(weight_ranges(&case.hub.requests()).is_empty());

    let mut case = Case::of(&[files(), vec![(STATE.to_owned(), b"a state".to_vec())]].concat());
    assert!(!case.fetch().unwrap().folder.join(STATE).exists());
    case.options.state = true;
    let fetched = case.fetch().unwrap();
    assert_eq!(std::fs::read(fetched.folder.join(STATE)).unwrap(), b"a state");
    case.hub.requests();
    assert_eq!(case.fetch_id(&format!("org/emoji@{COMMIT}")).unwrap(), fetched);
    assert_eq!(case.hub.requests().len(), 0);
}

#[test]
fn revisions_and_new_commits() {
    let case = Case::new();
    let first = case.fetch_id("org/emoji@refs/pr/1").unwrap();
    assert_eq!(std::fs::read_to_string(case.repository().join("refs/refs/pr/1")).unwrap(), COMMIT);
    let commit = "f".repeat(40);
    case.hub.set(|state| {
        state.commit.clone_from(&commit);
        state.files.get_mut("scheduler/scheduler_config.json").unwrap().push(b'\n');
    });
    case.hub.requests();
    let second = case.fetch_id("org/emoji@refs/pr/1").unwrap();
    assert_ne!(first.folder, second.folder);
    assert_loads(&second);
    // What did not change is here already.
    let gets: Vec<String> = case.hub.requests().into_iter().filter(|r| r.method == "GET").map(|r| r.path).collect();
    assert_eq!(gets.len(), 2, "{gets:?}");
    assert!(gets[1].ends_with("scheduler_config.json"));
    assert_eq!(std::fs::read_to_string(case.repository().join("refs/refs/pr/1")).unwrap(), commit);
    let error = case.fetch_id("org/emoji@v2").unwrap_err().to_string();
    assert!(error.contains("org/emoji@v2: no such revision"), "{error}");
}

#[test]
fn a_connection_that_is_cut_goes_on_where_it_was() {
    let case = Case::new();
    case.hub.set(|state| state.cuts = vec![1_000_000, 500_000]);
    let mut retries = 0;
    let fetched = fetch(&"org/emoji".parse().unwrap(), &case.options, &mut |progress| {
        retries += usize::from(matches!(progress, Progress::Retrying { file: WEIGHTS, .. }));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(retries >= 2);
    assert_loads(&fetched);
    assert_eq!(weight_ranges(&case.hub.requests()), [None, Some("bytes=1000000-"), Some("bytes=1500000-")]);
}

#[test]
fn a_server_without_ranges_begins_again() {
    let case = Case::new();
    case.hub.set(|state| {
        state.cuts = vec![1_000_000];
        state.without_ranges = true;
    });
    assert_loads(&case.fetch().unwrap());
    assert_eq!(weight_ranges(&case.hub.requests()), [None, Some("bytes=1000000-")]);
}

#[test]
fn cuts_without_end_are_an_error() {
    let case = Case::new();
    case.hub.set(|state| state.cuts = vec![0; 100]);
    let error = case.error(ErrorKind::Hub);
    assert!(error.contains(WEIGHTS) && error.contains("connection"), "{error}");
    assert_eq!(weight_ranges(&case.hub.requests()).len(), 5);
    // While something comes there is no end.
    case.hub.set(|state| state.cuts = vec![100_000; 20]);
    assert_loads(&case.fetch().unwrap());
}

#[test]
fn damaged_files_are_refused_and_removed() {
    let case = Case::new();
    case.hub.set(|state| state.damage = true);
    let error = case.error(ErrorKind::Hub);
    assert!(error.contains("SHA-256") && error.contains(&etag(WEIGHTS, &weights())) && error.contains(WEIGHTS), "{error}");
    assert!(!case.partial().exists() && !case.weights_blob().exists());
    case.hub.set(|state| state.damage = false);
    assert_loads(&case.fetch().unwrap());

    // Small files as well.
    let case = Case::new();
    case.hub.set(|state| state.etag = Some(|_| "0".repeat(40)));
    let error = case.error(ErrorKind::Hub);
    assert!(error.contains("git checksum"), "{error}");
}

#[test]
fn a_partial_file_of_something_else_is_replaced() {
    for (length, ranges) in [(1000, 2), (weights().len(), 1), (weights().len() + 5, 1)] {
        let case = Case::new();
        std::fs::create_dir_all(case.partial().parent().unwrap()).unwrap();
        std::fs::write(case.partial(), vec![7; length]).unwrap();
        assert_loads(&case.fetch().unwrap());
        assert_eq!(weight_ranges(&case.hub.requests()).len(), ranges, "{length}");
    }
}

#[test]
fn files_without_a_checksum_are_said() {
    let case = Case::new();
    case.hub.set(|state| state.etag = Some(|file| file.replace('/', "-")));
    let fetched = case.fetch().unwrap();
    assert_loads(&fetched);
    assert_eq!(fetched.notes.len(), OURS.len());
    assert!(fetched.notes.iter().any(|note| note.contains(WEIGHTS) && note.contains("not verified")));
    let case = Case::new();
    case.hub.set(|state| state.etag = Some(|_| "../../x".to_owned()));
    assert!(case.error(ErrorKind::Hub).contains("ETag"));
}

#[test]
fn what_the_hub_refuses() {
    let case = Case::new();
    let refuse = |status: u16, code: &str| case.hub.set(|state| state.answers = vec![(status, format!("x-error-code: {code}\r\n"))]);
    refuse(404, "RepoNotFound");
    let error = case.error(ErrorKind::Hub);
    assert!(error.contains("org/emoji: no such model") && error.contains("expected a folder, a built-in name or a hub id"), "{error}");
    refuse(401, "RepoNotFound");
    let error = case.error(ErrorKind::Hub);
    assert!(error.contains("no such model") && error.contains("HF_TOKEN"), "{error}");
    refuse(403, "GatedRepo");
    let error = case.error(ErrorKind::Hub);
    assert!(error.contains("gated") && error.contains("HF_TOKEN"), "{error}");
    assert!(!case.repository().exists(), "a cache of nothing");
}

#[test]
fn what_passes_is_tried_again() {
    let case = Case::new();
    case.hub.set(|state| state.answers = vec![(503, String::new()), (429, "retry-after: 0\r\n".to_owned())]);
    assert_loads(&case.fetch().unwrap());
    let case = Case::new();
    case.hub.set(|state| state.answers = vec![(503, String::new()); 10]);
    assert!(case.error(ErrorKind::Hub).contains("503"));
    assert_eq!(case.hub.requests().len(), 5);
}

#[test]
fn a_token_opens_a_model_and_goes_to_the_hub_alone() {
    let cdn = Hub::start(&files());
    let mut case = Case::new();
    case.hub.set(|state| {
        state.token = Some("hf_secret".to_owned());
        state.elsewhere = Some(cdn.address.clone());
    });
    assert!(case.error(ErrorKind::Hub).contains("HF_TOKEN"));
    case.options.token = Some("hf_wrong".to_owned());
    let error = case.error(ErrorKind::Hub);
    assert!(error.contains("rejects the token") && !error.contains("hf_wrong"), "{error}");
    case.options.token = Some("hf_secret".to_owned());
    case.hub.requests();
    cdn.set(|state| state.cuts = vec![300_000]);
    assert_loads(&case.fetch().unwrap());
    assert!(case.hub.requests().iter().all(|r| r.headers.contains_key("authorization")));
    let requests = cdn.requests();
    assert_eq!(weight_ranges(&requests), [None, Some("bytes=300000-")]);
    assert!(requests.iter().all(|r| !r.headers.contains_key("authorization")), "{requests:?}");
    case.options.token = Some("two words".to_owned());
    case.hub.set(|state| state.commit = "a".repeat(40));
    let error = case.error(ErrorKind::Request);
    assert!(!error.contains("two words"), "{error}");
}

#[test]
fn whoever_observes_can_end_it() {
    let case = Case::new();
    let mut stop = |progress: Progress<'_>| match progress {
        Progress::Bytes { file: WEIGHTS, come, .. } if come > 1_000_000 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let error = fetch(&"org/emoji".parse().unwrap(), &case.options, &mut stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let length = case.partial().metadata().unwrap().len();
    assert!(length > 990_000 && length < weights().len() as u64);
    assert!(!case.repository().join("refs/main").exists(), "a ref to what is not whole");
    case.hub.requests();
    assert_loads(&case.fetch().unwrap());
    assert_eq!(weight_ranges(&case.hub.requests()), [Some(format!("bytes={length}-").as_str())]);
}

#[test]
fn without_a_network_what_is_here_is_taken() {
    let mut case = Case::new();
    case.options.attempts = 2;
    let fetched = case.fetch().unwrap();
    let connected = std::mem::replace(&mut case.options.endpoint, "http://127.0.0.1:1".to_owned());
    let offline = case.fetch().unwrap();
    assert_eq!(offline.folder, fetched.folder);
    assert!(offline.notes[0].contains("org/emoji") && offline.notes[0].contains(&COMMIT[..8]), "{:?}", offline.notes);
    assert_loads(&offline);
    // Not at all is another matter.
    assert!(case.fetch_id("org/other").unwrap_err().to_string().contains("http://127.0.0.1:1/api/models/org/other"));
    case.options.endpoint = connected;
    case.options.offline = true;
    case.hub.requests();
    assert_eq!(case.fetch().unwrap().notes.len(), 1);
    let error = case.fetch_id("org/other").unwrap_err();
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    // A hub that fails is not asked twice.
    case.options.offline = false;
    case.hub.set(|state| state.answers = vec![(503, String::new())]);
    assert!(case.fetch().unwrap().notes[0].contains("503"));
    // Weights whose contents are gone are no model.
    std::fs::remove_file(case.weights_blob()).unwrap();
    case.options.offline = true;
    assert!(case.error(ErrorKind::Hub).contains("incomplete in"));
    case.options.offline = false;
    assert_loads(&case.fetch().unwrap());
}

#[test]
fn a_dead_server_ends() {
    // Connections are taken, and nobody answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut case = Case::new();
    case.options.endpoint = format!("http://{}", listener.local_addr().unwrap());
    case.options.timeout = Duration::from_millis(200);
    case.options.attempts = 2;
    assert!(case.error(ErrorKind::Hub).contains("stopped responding"));
    // And one that comes to a halt within a file.
    let mut case = Case::new();
    case.options.timeout = Duration::from_millis(200);
    case.options.attempts = 2;
    case.hub.set(|state| state.halt = Some(1_000_000));
    let error = fetch(&"org/emoji".parse().unwrap(), &case.options, &mut |progress| {
        if let Progress::Retrying { .. } = progress {
            case.hub.set(|state| state.halt = Some(0));
        }
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert!(error.kind() == ErrorKind::Hub && error.to_string().contains(WEIGHTS), "{error}");
    assert!(case.partial().metadata().unwrap().len() >= 1_000_000);
    case.hub.release();
}

#[test]
fn a_cache_that_python_wrote_is_found() {
    let case = Case::new();
    let repository = case.repository();
    let write = |path: PathBuf, bytes: &[u8]| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write(repository.join("refs/main"), COMMIT.as_bytes());
    for (file, bytes) in files() {
        let etag = etag(&file, &bytes);
        write(repository.join("blobs").join(&etag), &bytes);
        let pointer = repository.join("snapshots").join(COMMIT).join(&file);
        std::fs::create_dir_all(pointer.parent().unwrap()).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(format!("{}blobs/{etag}", "../".repeat(2 + file.matches('/').count())), pointer).unwrap();
        #[cfg(not(unix))]
        std::fs::write(pointer, bytes).unwrap();
    }
    let fetched = case.fetch().unwrap();
    assert_loads(&fetched);
    assert_eq!(case.hub.requests().len(), 1);
    // A part of a model, as Python leaves it where it was asked for a part, is a commit that is asked for once more: what is missing may be in the repository.
    let whole = case.fetch_id(&format!("org/emoji@{COMMIT}")).unwrap();
    assert_eq!((whole.notes.len(), case.hub.requests().len()), (0, 0));
    let part = ["model_index.json", "scheduler/scheduler_config.json"].map(|file| repository.join("snapshots").join(COMMIT).join(file));
    part.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let mut offline = case.options.clone();
    offline.offline = true;
    let said = fetch(&format!("org/emoji@{COMMIT}").parse().unwrap(), &offline, &mut |_| ControlFlow::Continue(())).unwrap().notes;
    assert!(said[0].contains("model_index.json, scheduler/scheduler_config.json may be missing from the cache"), "{said:?}");
    assert_eq!(case.hub.requests().len(), 0);
    assert_loads(&case.fetch_id(&format!("org/emoji@{COMMIT}")).unwrap());
    assert!(case.hub.requests().iter().any(|r| r.path.starts_with("/api/")) && part.iter().all(|file| file.is_file()));
    // Blobs alone are linked.
    std::fs::remove_dir_all(repository.join("snapshots")).unwrap();
    assert_loads(&case.fetch().unwrap());
    assert!(case.hub.requests().iter().all(|r| r.method == "HEAD" || r.path.starts_with("/api/")));
}

#[test]
fn without_links_files_lie_in_the_snapshot() {
    let mut case = Case::new();
    case.options.symlinks = false;
    let fetched = case.fetch().unwrap();
    assert!(OURS.iter().all(|file| !fetched.folder.join(file).is_symlink()));
    assert_eq!(std::fs::read_dir(case.repository().join("blobs")).unwrap().count(), 0);
    assert_loads(&fetched);
    case.hub.requests();
    assert_eq!(case.fetch().unwrap(), fetched);
    assert_eq!(case.hub.requests().len(), 1);
    // A blob that was there before is copied.
    std::fs::remove_dir_all(&fetched.folder).unwrap();
    std::fs::write(case.weights_blob(), weights()).unwrap();
    assert_loads(&case.fetch().unwrap());
    assert_eq!(weight_ranges(&case.hub.requests()), [] as [Option<&str>; 0]);
    assert!(case.weights_blob().exists());
}

#[test]
fn hostile_lists() {
    for name in ["../x", "/etc/x", "unet/../../x", "a\\b", "a//b", ""] {
        let case = Case::new();
        case.hub.set(|state| state.listed = vec![name.to_owned()]);
        let error = case.error(ErrorKind::Hub);
        assert!(error.contains(&format!("{name:?}")), "{error}");
        assert_eq!(case.hub.requests().len(), 1);
    }
    let case = Case::new();
    case.hub.set(|state| state.commit = "../../elsewhere".to_owned());
    assert!(case.error(ErrorKind::Hub).contains("commit"));
    assert!(!case.repository().exists());
}

#[test]
fn networks_of_another_kind_before_their_weights() {
    let case = Case::new();
    case.hub.set(|state| {
        let config = state.files.get_mut("unet/config.json").unwrap();
        *config = String::from_utf8(config.clone()).unwrap().replace("\"UNet2DModel\"", "\"UNet2DConditionModel\"").into_bytes();
    });
    let error = case.error(ErrorKind::Hub);
    assert!(error.contains("org/emoji: unet/config.json") && error.contains("UNet2DConditionModel"), "{error}");
    assert_eq!(weight_ranges(&case.hub.requests()).len(), 0);
    let case = Case::of(&[("pytorch_model.bin".to_owned(), vec![1]), ("config.json".to_owned(), b"{}".to_vec())]);
    assert!(case.error(ErrorKind::Hub).contains("not a model that ddim can read"));
}

#[test]
fn shards_come_by_their_index() {
    let index = "diffusion_pytorch_model.safetensors.index.json";
    let shards = ["diffusion_pytorch_model-00001-of-00002.safetensors", "diffusion_pytorch_model-00002-of-00002.safetensors"];
    let map = serde_json::json!({"metadata": {}, "weight_map": {"a": shards[0], "b": shards[1]}});
    let all = [
        ("config.json".to_owned(), std::fs::read(emoji().join("unet/config.json")).unwrap()),
        (index.to_owned(), map.to_string().into_bytes()),
        (shards[0].to_owned(), vec![1; 1000]),
        (shards[1].to_owned(), vec![2; 2000]),
        ("diffusion_pytorch_model-00001-of-00009.safetensors".to_owned(), vec![3; 1000]),
    ];
    let mut case = Case::of(&all);
    let fetched = case.fetch().unwrap();
    assert_eq!(std::fs::read(fetched.folder.join(shards[1])).unwrap(), [2; 2000]);
    assert!(!fetched.folder.join("diffusion_pytorch_model-00001-of-00009.safetensors").exists());
    case.options.offline = true;
    case.fetch().unwrap();
    std::fs::remove_file(fetched.folder.join(shards[1])).unwrap();
    case.error(ErrorKind::Hub);
    let case = Case::of(&all[..3]);
    assert!(case.error(ErrorKind::Hub).contains(shards[1]));
}

#[test]
fn two_at_once_share_one_download() {
    let case = Case::new();
    case.hub.set(|state| state.halt = Some(1_000_000));
    let id: HubId = "org/emoji".parse().unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| fetch(&id, &case.options, &mut |_| ControlFlow::Continue(())));
        let end = Instant::now() + Duration::from_secs(20);
        while case.partial().metadata().map_or(0, |m| m.len()) < 1_000_000 {
            assert!(Instant::now() < end, "nothing comes");
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut waited = false;
        let second = fetch(&id, &case.options, &mut |progress| {
            if matches!(progress, Progress::Waiting { file: WEIGHTS }) {
                waited = true;
                case.hub.release();
            }
            ControlFlow::Continue(())
        });
        assert!(waited);
        assert_loads(&second.unwrap());
        assert_loads(&first.join().unwrap().unwrap());
    });
    assert_eq!(weight_ranges(&case.hub.requests()), [None]);
}

/// What `killed_at_any_moment` kills: this binary, with a hub's address and a cache.
#[test]
fn child() {
    if let (Ok(address), Ok(cache)) = (std::env::var("DDIM_TEST_HUB"), std::env::var("DDIM_TEST_CACHE")) {
        fetch(&"org/emoji".parse().unwrap(), &options(&address, Path::new(&cache)), &mut |_| ControlFlow::Continue(())).unwrap();
    }
}

#[test]
fn killed_at_any_moment_it_is_completed_by_the_next() {
    let case = Case::new();
    let total = weights().len() as u64;
    for halt in [1, 1_000_000, 1_000_000] {
        case.hub.set(|state| state.halt = Some(halt));
        let before = case.partial().metadata().map_or(0, |m| m.len());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child"])
            .env("DDIM_TEST_HUB", &case.hub.address)
            .env("DDIM_TEST_CACHE", case.cache.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while case.partial().metadata().map_or(0, |m| m.len()) < before + halt as u64 {
            assert!(Instant::now() < end, "nothing comes");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let length = case.partial().metadata().unwrap().len();
    assert!((2_000_001..total).contains(&length));
    case.hub.set(|state| state.halt = None);
    case.hub.requests();
    assert_loads(&case.fetch().unwrap());
    assert_eq!(weight_ranges(&case.hub.requests()), [Some(format!("bytes={length}-").as_str())]);
    assert!(!case.partial().exists());
    case.hub.release();
}

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_written() {
    let mut case = Case::new();
    let file = case.cache.path().join("file");
    std::fs::write(&file, "").unwrap();
    case.options.cache = file.clone();
    assert!(case.error(ErrorKind::Io).contains(file.to_str().unwrap()));
    case.options.cache = case.cache.path().join("cache");
    case.options.endpoint = "hub.example".to_owned();
    assert!(case.error(ErrorKind::Request).contains("\"hub.example\""));
}
