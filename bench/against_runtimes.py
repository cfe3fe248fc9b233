#!/usr/bin/env python3
"""Times one evaluation of a network by `ddim bench`, PyTorch, ONNX Runtime and OpenVINO, in turn; prints medians, CPU times and ratios.

    pip install torch diffusers onnx onnxscript onnxruntime openvino && cargo build --release
    python bench/against_runtimes.py [--preset ddpm-cifar10 | --model DIR] [--batch 16] [--threads 1] [--rounds 5] [--only ddim,pytorch,..] [--train]

Each opponent is a process of its own on the same pinned cores; it loads, warms up, and then runs when it is told to, so that only one works
at a time. Presets have random weights. With --train: one Adam step of the epsilon objective.
"""
import argparse, json, os, pathlib, resource, statistics, subprocess, sys, tempfile, time

root = pathlib.Path(__file__).resolve().parent.parent
def preset(name):
    """The networks of `ddim bench --preset`, as diffusers' arguments."""
    size, channels = {
        "small": (32, (32, 64, 96)), "ddpm-cifar10": (32, (128, 256, 256, 256)), "ddpm-celeba64": (64, (128, 256, 256, 256, 512)),
        "ddpm-lsun256": (256, (128, 128, 256, 256, 512, 512))}[name]
    layers, head, groups = (1, 32, 8) if name == "small" else (2, None, 32)
    attends = ["Attn" if size >> level == 16 else "" for level in range(len(channels))]
    return dict(
        sample_size=size, in_channels=3, out_channels=3, block_out_channels=channels, layers_per_block=layers, norm_num_groups=groups,
        down_block_types=tuple(a + "DownBlock2D" for a in attends), up_block_types=tuple(a + "UpBlock2D" for a in reversed(attends)),
        downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6, attention_head_dim=head)

def network(model):
    import torch
    from diffusers import UNet2DModel
    torch.manual_seed(0)
    return UNet2DModel.from_pretrained(pathlib.Path(model) / "unet", torch_dtype=torch.float32)

def onnx_file(model, batch, folder):
    import torch
    net, path = network(model).eval(), pathlib.Path(folder) / f"net{batch}.onnx"
    class Plain(torch.nn.Module):
        def __init__(self): super().__init__(); self.net = net
        def forward(self, x, t): return self.net(x, t).sample
    x = torch.randn(batch, net.config.in_channels, *[net.config.sample_size] * 2)
    torch.onnx.export(Plain(), (x, torch.full((batch,), 500)), str(path), dynamo=True, verbose=False)

def worker(name, model, batch, threads, folder):
    """Prints a line when ready; then, for each line on stdin, runs once and prints [wall, CPU] in seconds."""
    import numpy as np
    config = json.load(open(pathlib.Path(model) / "unet/config.json"))
    x = np.random.default_rng(0).standard_normal((batch, config["in_channels"], *[config["sample_size"]] * 2), dtype=np.float32)
    t = np.full((batch,), 500, dtype=np.int64)
    if name.startswith("pytorch"):
        import torch
        torch.set_num_threads(threads)
        net = network(model)
        tx, tt = torch.from_numpy(x), torch.from_numpy(t)
        if name == "pytorch-train":
            net.train()
            adam, noise = torch.optim.Adam(net.parameters(), lr=2e-4), torch.randn_like(tx)
            def run():
                adam.zero_grad()
                torch.nn.functional.mse_loss(net(tx, tt).sample, noise).backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                adam.step()
        else:
            net.eval()
            def run():
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=name == "pytorch-bf16"): net(tx, tt)
    elif name == "onnxruntime":
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = ort.InferenceSession(str(pathlib.Path(folder) / f"net{batch}.onnx"), options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        run = lambda: session.run(None, {names[0]: x, names[1]: t})
    else:
        import openvino as ov
        core = ov.Core()
        precision = "bf16" if name.endswith("bf16") else "f32"
        net = core.compile_model(str(pathlib.Path(folder) / f"net{batch}.onnx"), "CPU", {
            "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"})
        run = lambda: net([x, t])
    run(), run()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)

def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model"), p.add_argument("--preset", default="ddpm-cifar10"), p.add_argument("--only"), p.add_argument("--train", action="store_true")
    for name, default in (("batch", 16), ("threads", 1), ("rounds", 5)): p.add_argument(f"--{name}", type=int, default=default)
    a = p.parse_args()
    names = ["ddim", "pytorch-train"] if a.train else ["ddim", "pytorch", "pytorch-bf16", "onnxruntime", "openvino", "openvino-bf16"]
    names = a.only.split(",") if a.only else names
    cores = sorted(os.sched_getaffinity(0))[-a.threads:]
    with tempfile.TemporaryDirectory() as folder:
        model = a.model
        if not model:
            model = folder
            make = f"import torch; from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel; torch.manual_seed(0); DDIMPipeline(UNet2DModel(**{preset(a.preset)!r}), DDIMScheduler()).save_pretrained({folder!r})"
            subprocess.run([sys.executable, "-c", make], check=True)
        this = [sys.executable, __file__, "worker"]
        if any(n.startswith(("onnx", "openvino")) for n in names):
            subprocess.run([*this, "export", model, str(a.batch), "1", folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pin = lambda: os.sched_setaffinity(0, cores)
        workers, memory = {}, {}
        for name in names:
            if name != "ddim":
                command = [*this, name, model, str(a.batch), str(a.threads), folder]
                w = workers[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=pin)
                assert w.stdout.readline() == "ready\n", f"{name} did not start"
        times = {name: [] for name in names}
        for _ in range(a.rounds):
            for name in names:
                if name == "ddim":
                    command = [root / "target/release/ddim", "bench", "--model", model, "--batch", str(a.batch), "--threads", str(a.threads), "--json"]
                    found = json.loads(subprocess.run(command + ["--train"] * a.train, check=True, capture_output=True, preexec_fn=pin).stdout)
                    times[name].append([found[k] * a.batch / 1e3 for k in ("ms_per_image_step", "cpu_ms_per_image_step")])
                    memory[name] = found["peak_memory_bytes"] / 2**20
                else:
                    w = workers[name]
                    w.stdin.write("go\n"), w.stdin.flush()
                    times[name].append(json.loads(w.stdout.readline()))
        for name, w in workers.items():
            memory[name] = int(w.communicate()[0].split()[-1]) / 1024
    median = {name: [1e3 * statistics.median(t[i] for t in all) / a.batch for i in (0, 1)] for name, all in times.items()}
    print(f"{a.model or a.preset}, batch {a.batch}, {a.threads} thread(s), median of {a.rounds} in turn, load {os.getloadavg()[0]:.1f}")
    print("| | wall ms / image-step | CPU ms / image-step | CPU against ours | peak memory MiB |\n|---|---|---|---|---|")
    ours = median.get("ddim", next(iter(median.values())))
    for name, (wall, cpu) in median.items():
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {cpu / ours[1]:.2f} | {memory[name]:.0f} |")

if sys.argv[1:2] == ["worker"]:
    name, model, batch, threads, folder = sys.argv[2:]
    onnx_file(model, int(batch), folder) if name == "export" else worker(name, model, int(batch), int(threads), folder)
else:
    main()
