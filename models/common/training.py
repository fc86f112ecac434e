# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop of all recipes: seeded, resumable, on a CPU or a GPU, with a log and its curve.

A run is given by a network, a function that draws a batch and one that tells the loss. Its length is a number
of steps or of minutes; the learning rate warms up, holds, and falls to nothing at the end of it. The state (weights,
optimiser, averages, random generators) is saved every few minutes, and the same command goes on from it.
"""
import argparse
import json
import math
import os
import time

import numpy as np
import torch


LONGEST_STEP = 20  # seconds; what is longer was compiling, and does not count as training


class Tiles:
    """Clean patches out of tiles.py's array: cropped, turned, flipped, exposed; sRGB [n, 3, size, size]."""

    def __init__(self, path, seed, device="cpu"):
        self.tiles = np.load(path, mmap_mode="r")
        self.share = np.cumsum(np.load(path.replace(".npy", ".weights.npy")))
        self.rng = np.random.default_rng(seed)
        self.device = device

    def patch(self, size):
        tile = self.tiles[min(np.searchsorted(self.share, self.rng.random()), len(self.share) - 1)]
        y, x = self.rng.integers(0, tile.shape[0] - size + 1, 2)
        p = np.rot90(tile[y:y + size, x:x + size], self.rng.integers(4))
        p = p[::self.rng.choice([-1, 1])]
        if self.rng.random() < 0.15:
            p = p[..., self.rng.permutation(3)]
        return p.transpose(2, 0, 1)

    def draw(self, n, size):
        patches = np.stack([self.patch(size) for _ in range(n)])
        return torch.from_numpy(patches).to(self.device).float() / 255

    def exposed(self, n, size):
        """Half of them darker or brighter, by a factor in linear light."""
        clean = self.draw(n, size)
        factor = np.where(self.rng.random(n) < 0.5, 1, 2.0 ** self.rng.uniform(-2.5, 0.4, n))
        factor = torch.from_numpy(factor.astype(np.float32)).to(self.device)[:, None, None, None]
        return (clean * factor ** (1 / 2.2)).clamp(0, 1)


def orthogonal(g, steps=5):
    """The nearest matrix with equal singular values, about, by Newton and Schulz's iteration."""
    x = (g / (g.norm() + 1e-7)).bfloat16()
    turned = x.shape[0] > x.shape[1]
    x = x.T if turned else x
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if turned else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are made orthogonal (Jordan et al., 2024), for the kernels of convolutions."""

    def __init__(self, parameters, lr=2e-3, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"]
                m.lerp_(p.grad, 1 - group["momentum"])
                g = p.grad.lerp(m, group["momentum"]).reshape(p.shape[0], -1)
                update = orthogonal(g).reshape(p.shape)
                p.add_(update, alpha=-group["lr"] * 0.2 * max(g.shape) ** 0.5)  # as large as Adam's


def optimisers(net, args):
    """Muon for the kernels inside, Adam for what is at the ends and for biases."""
    learned = [(k, p) for k, p in net.named_parameters() if p.requires_grad]
    inside = lambda k, p: args.muon > 0 and p.ndim == 4 and not k.startswith(("enter", "leave"))
    kernels = [p for k, p in learned if inside(k, p)]
    others = [p for k, p in learned if not inside(k, p)]
    made = [(torch.optim.Adam(others, lr=args.rate, betas=(0.9, 0.99)), args.rate)]
    return made + ([(Muon(kernels, lr=args.muon), args.muon)] if kernels else [])


def rate(done, warm=0.02, hold=0.4):
    """Share of the peak learning rate, done in 0..1: up, level, down as a cosine."""
    if done < warm:
        return (done + 1e-4) / warm
    return 1 if done < hold else 0.5 * (1 + math.cos(math.pi * min(1, (done - hold) / (1 - hold))))


def arguments(**defaults):
    """The options that all recipes have; defaults override."""
    a = argparse.ArgumentParser()
    a.add_argument("--tiles", required=True, help="array made by common/tiles.py")
    a.add_argument("--run", required=True, help="folder of the state, weights.pt, log.jsonl and curve.png")
    a.add_argument("--begin", help="weights to begin with; what fits is taken")
    a.add_argument("--minutes", type=float, default=45, help="of training, all runs together")
    a.add_argument("--steps", type=int, default=0, help="instead of minutes")
    a.add_argument("--batch", type=int, default=16)
    a.add_argument("--size", type=int, default=96)
    a.add_argument("--rate", type=float, default=1e-3)
    a.add_argument("--muon", type=float, default=0, help="learning rate of Muon; 0: Adam for all")
    a.add_argument("--average", type=float, default=0.999)
    a.add_argument("--warm", type=float, default=0.02, help="share of the run in which the rate rises")
    a.add_argument("--hold", type=float, default=0.4, help="share of the run after which the rate falls")
    a.add_argument("--threads", type=int, default=0)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--save", type=float, default=3, help="minutes between saved states")
    a.add_argument("--plain", action="store_true", help="neither compiled nor in bfloat16")
    a.set_defaults(**defaults)
    return a


def begin(net, path):
    """What fits of saved weights; a kernel with fewer channels fills the first of them."""
    fresh = net.state_dict()
    old = torch.load(path, map_location="cpu")
    taken = [k for k in fresh if k in old and old[k].shape == fresh[k].shape]
    net.load_state_dict({**fresh, **{k: old[k] for k in taken}})
    print(f"{len(taken)} of {len(fresh)} tensors from {path}", flush=True)


def curve(run):
    """log.jsonl as curve.png."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        return
    log = os.path.join(run, "log.jsonl")
    rows = [json.loads(line) for line in open(log)] if os.path.exists(log) else []
    figure, axes = plt.subplots(figsize=(6, 3.5))
    axes.semilogy([r["step"] for r in rows], [r["loss"] for r in rows], linewidth=0.8)
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(True, which="both", alpha=0.3)
    figure.tight_layout()
    figure.savefig(os.path.join(run, "curve.png"), dpi=90)
    plt.close(figure)


class Run:
    """One training run; see the top of this file. Call go()."""

    def __init__(self, net, draw, loss_of, args):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.args, self.draw, self.loss_of = args, draw, loss_of
        if args.begin:
            begin(net, args.begin)
        self.net = net.to(self.device, memory_format=torch.channels_last)
        self.optimisers = optimisers(self.net, args)
        self.average = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.step, self.spent = 0, 0.0
        self.state_file = os.path.join(args.run, "state.pt")
        os.makedirs(args.run, exist_ok=True)
        if os.path.exists(self.state_file):
            self.load()
        compiled = not args.plain and hasattr(torch, "compile")
        self.forward = torch.compile(self.net) if compiled else self.net

    def load(self):
        s = torch.load(self.state_file, map_location=self.device, **(
            {"weights_only": False} if torch.__version__ >= "2" else {}))
        self.net.load_state_dict(s["net"])
        self.average, self.step, self.spent = s["average"], s["step"], s["spent"]
        for (o, _), saved in zip(self.optimisers, s["optimisers"]):
            o.load_state_dict(saved)
        self.draw.restore(s["draw"])
        print(f"goes on from step {self.step}", flush=True)

    def save(self):
        keep = lambda path, what: (torch.save(what, path + ".part"), os.replace(path + ".part", path))
        keep(self.state_file, {
            "net": self.net.state_dict(), "average": self.average, "step": self.step, "spent": self.spent,
            "optimisers": [o.state_dict() for o, _ in self.optimisers], "draw": self.draw.state()})
        keep(os.path.join(self.args.run, "weights.pt"), {k: v.cpu() for k, v in self.average.items()})
        curve(self.args.run)

    def learn(self, done):
        share = rate(done, self.args.warm, self.args.hold)
        noisy, *truth = self.draw()
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=not self.args.plain):
            out = self.forward(noisy)
        loss = self.loss_of(out.float(), *truth)
        for o, _ in self.optimisers:
            o.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in self.net.parameters() if p.grad is not None], 0.5)
        for o, peak in self.optimisers:
            for group in o.param_groups:
                group["lr"] = peak * share
            o.step()
        self.step += 1
        keep = min(self.args.average, self.step / (self.step + 30))
        with torch.no_grad():
            for k, v in self.net.state_dict().items():
                self.average[k].lerp_(v, 1 - keep)
        return loss

    def done(self):
        return self.step / self.args.steps if self.args.steps else self.spent / (60 * self.args.minutes)

    def go(self):
        losses, last, saved = [], time.time(), time.time()
        while self.done() < 1:
            losses.append(self.learn(self.done()).item())
            now = time.time()
            self.spent, last = self.spent + min(now - last, LONGEST_STEP), now
            if self.step % 25 == 0:
                row = {"step": self.step, "loss": round(float(np.mean(losses)), 6), "spent": round(self.spent)}
                with open(os.path.join(self.args.run, "log.jsonl"), "a") as log:
                    log.write(json.dumps(row) + "\n")
                losses = []
            if now - saved > 60 * self.args.save:
                self.save()
                saved = now
        self.save()


class Draw:
    """Batches for a Run: calls make(tiles, generator, args), and can be saved and restored."""

    def __init__(self, make, args):
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.make, self.args = make, args
        self.tiles = Tiles(args.tiles, args.seed, device)
        self.generator = torch.Generator().manual_seed(args.seed)

    def __call__(self):
        return self.make(self.tiles, self.generator, self.args)

    def state(self):
        return {"tiles": self.tiles.rng.bit_generator.state, "generator": self.generator.get_state()}

    def restore(self, saved):
        self.tiles.rng.bit_generator.state = saved["tiles"]
        self.generator.set_state(saved["generator"].cpu())


def setup(args):
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
