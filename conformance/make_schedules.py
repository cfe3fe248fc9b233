#!/usr/bin/env python3
"""Golden schedules, trajectories and step coefficients, as the authors of DDIM ("E") and diffusers ("D") define them.

    pip install numpy torch diffusers && python conformance/make_schedules.py

Writes conformance/schedules.json: alpha_bar of every schedule at some code timesteps, a hash (FNV-1a of the comma-separated list) of
the ascending code timesteps for every S from 1 to 1000 of every spacing, and E's coefficients in f64.
"""
import json, math, pathlib
import numpy as np, torch
from diffusers import DDIMScheduler, DDPMScheduler

T, here = 1000, pathlib.Path(__file__).parent

def fnv(codes):
    h = 0xCBF29CE484222325
    for b in ",".join(map(str, codes)).encode():
        h = (h ^ b) * 0x100000001B3 % 2**64
    return f"{h:016x}"

def betas_of(kind, start=1e-4, end=0.02):  # E's get_beta_schedule, f64
    sigmoid = lambda x: 1 / (np.exp(-x) + 1)
    return {"quad": np.linspace(start**0.5, end**0.5, T) ** 2, "linear": np.linspace(start, end, T), "const": end * np.ones(T),
            "jsd": 1.0 / np.linspace(T, 1, T), "sigmoid": sigmoid(np.linspace(-6, 6, T)) * (end - start) + start}[kind]

def uniform(S): return list(range(0, T, T // S))
def quad(S): return [int(s) for s in list(np.linspace(0, np.sqrt(T * 0.8), S) ** 2)]

def diffusers_codes(spacing, S, offset=0):
    scheduler = DDIMScheduler(timestep_spacing=spacing, steps_offset=offset)
    scheduler.set_timesteps(S)
    return scheduler.timesteps.tolist()[::-1]

at = [0, 1, 10, 100, 499, 900, 998, 999]
out = {"at": at, "alpha_bar": {}, "trajectories": {}, "irregular": {}, "eta": [], "ddpm_noisy": []}
for kind in ("linear", "quad", "const", "jsd", "sigmoid"):
    out["alpha_bar"][kind] = np.cumprod(1 - betas_of(kind))[at].tolist()
for name, config in {"scaled_linear": dict(beta_schedule="scaled_linear"), "squaredcos_cap_v2": dict(beta_schedule="squaredcos_cap_v2"),
                     "linear_zero_snr": dict(beta_schedule="linear", rescale_betas_zero_snr=True),
                     "squaredcos_cap_v2_zero_snr": dict(beta_schedule="squaredcos_cap_v2", rescale_betas_zero_snr=True)}.items():
    out["alpha_bar"][name] = DDIMScheduler(**config).alphas_cumprod[at].double().tolist()
assert np.allclose(DDPMScheduler(beta_schedule="sigmoid").alphas_cumprod[at], out["alpha_bar"]["sigmoid"], rtol=1e-3)

spacings = {"uniform": uniform, "quadratic": lambda S: sorted(set(quad(S))), "leading": lambda S: diffusers_codes("leading", S),
            "leading_1": lambda S: diffusers_codes("leading", S, 1), "trailing": lambda S: diffusers_codes("trailing", S),
            "linspace": lambda S: diffusers_codes("linspace", S)}
for name, codes in spacings.items():
    # What leaves 0..T-1, or has another length than S where the convention says S, is diffusers' slip: listed, not copied.
    lists = {S: codes(S) for S in range(1, T + 1)}
    out["irregular"][name] = [S for S, c in lists.items() if min(c) < 0 or max(c) >= T or (name not in ("uniform", "quadratic") and len(c) != S)]
    out["trajectories"][name] = [fnv(c) for c in lists.values()]
    print(name, "irregular at", out["irregular"][name])

def alpha(t): return abar[t + 1]  # E's compute_alpha
abar = np.cumprod(1 - np.concatenate([[0.0], betas_of("linear")]))
for name, seq in [("uniform", uniform(10)), ("uniform", uniform(100)), ("uniform", uniform(300)), ("uniform", uniform(1000)), ("quadratic", quad(10)), ("quadratic", quad(20))]:
    S = {334: 300}.get(len(seq), len(seq))
    pairs = list(zip(reversed(seq), reversed([-1] + seq[:-1])))
    for eta in (0.0, 0.2, 0.5, 1.0):
        rows = []
        for i, j in pairs:  # generalized_steps
            a, b = alpha(i), alpha(j)
            c1 = eta * math.sqrt((1 - a / b) * (1 - b) / (1 - a))
            rows.append([i, c1, math.sqrt(1 - b - c1**2)])
        out["eta"].append(dict(trajectory=name, steps=S, eta=eta, rows=rows))
    rows = []
    for i, j in pairs:  # ddpm_steps: mean = first * x0 + second * x, and the deviation
        a, b = alpha(i), alpha(j)
        beta = 1 - a / b
        rows.append([i, math.sqrt(b) * beta / (1 - a), math.sqrt(1 - beta) * (1 - b) / (1 - a), (0.0 if i == 0 else math.exp(0.5 * math.log(beta)))])
    out["ddpm_noisy"].append(dict(trajectory=name, steps=S, rows=rows))
(here / "schedules.json").write_text(json.dumps(out) + "\n")
