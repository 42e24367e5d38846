"""Golden values of BERT with question answering, by PyTorch and transformers.

    python3 tests/reference/bert.py              fixtures and golden values of the tiny models
    python3 tests/reference/bert.py MINILM_DIR   and those of MiniLM-L6 (all-MiniLM-L6-v2)

Every window goes through the model alone, without padding and without a mask, and losses are then
averaged: transformers' softmax over the positions of a padded batch also runs over the padding, so
the loss of a padded batch depends on its longest window. All arithmetic is F64, dropout is off, and
what is written is rounded to F32 once.

tests/fixtures/bert-question-answering  names as BertForQuestionAnswering writes them, F32
tests/fixtures/bert-encoder             names as BertModel writes them: no prefix, a pooler; BF16
tests/fixtures/bert-pretraining         old names, gamma and beta, heads cls.*; F16
tests/golden/bert/*.safetensors:
    ids, segments [N], offsets [B + 1], targets [B, 2]     the batch
    qa_outputs.weight, qa_outputs.bias                     the head, also where the folder has it
    hidden.0 ... hidden.L [N, C]                           after the embeddings, after each layer
    logits [N, 2], loss [1], norm [1]                      norm: of the whole gradient
    gradient.NAME                                          of each parameter, without "bert."
    STEPS.learning_rate, STEPS.loss, STEPS.norm [10]       ten updates by this same batch; the loss
    STEPS.parameter.NAME                                   before each; parameters after the last
where STEPS is adamw (the recipe squad) or bert_adam (BERT's original: no bias correction, epsilon
1e-6, weight decay 0.01 but for biases and norms). Of MiniLM, hidden states, gradients and parameters
are given by their norm and a fixed sample: X.norm [1], X.index [K] (of the flat tensor), X.value [K].

Golden files made with torch 2.15.0, transformers 5.24.0, CPU.
"""

import json
import os
import shutil
import sys

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "..", "fixtures")
GOLDEN = os.path.join(HERE, "..", "golden", "bert")
XQUAD = os.path.join(
    os.environ.get("CAIRN_DATA", os.path.join(HERE, "..", "..", "..", "shared", "data")),
    "squad/xquad.en.json",
)
STEPS = 10
TINY = dict(
    vocab_size=199,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=96,
    max_position_embeddings=48,
    type_vocab_size=2,
    layer_norm_eps=1e-12,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    initializer_range=0.02,
    model_type="bert",
)
WORDS = """the an of in to was is and who what when where which how many did on for with from by
river bridge city stone built year king old north south mason tower wall two three first long
##ed ##ing ##er ##ly ##ton ##ness ##ful ##th ##est""".split()


def vocabulary():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list("!\"'(),-.:;?")
    tokens += letters + ["##" + c for c in letters] + WORDS
    tokens += [f"[unused{i}]" for i in range(TINY["vocab_size"] - len(tokens))]
    assert len(tokens) == len(set(tokens)) == TINY["vocab_size"]
    return tokens


def random_state(names, seed):
    """Larger than a fresh model's, so that attention is far from uniform and nothing is near zero."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in names:
        x = torch.randn(shape, generator=generator)
        if "LayerNorm" in name:
            state[name] = x * 0.1 + (1 if name.endswith("weight") else 0)
        else:
            state[name] = x * (0.05 if name.endswith("bias") else 0.15)
    return state


def old_name(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"
    )


def write_fixture(name, act, seed, dtype, naming):
    """Writes one folder and returns its model, F64, with a head that is drawn where it has none."""
    folder = os.path.join(FIXTURES, "bert-" + name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    model = BertForQuestionAnswering(BertConfig(**TINY, hidden_act=act))
    shapes = [(n, tuple(p.shape)) for n, p in model.named_parameters()]
    state = {n: x.to(dtype) for n, x in random_state(shapes, seed).items()}
    model.load_state_dict({n: x.float() for n, x in state.items()})
    C, V = TINY["hidden_size"], TINY["vocab_size"]
    stored = dict(state)
    architecture = "BertForQuestionAnswering"
    if naming == "encoder":
        architecture = "BertModel"
        stored = {n[5:]: x for n, x in state.items() if n.startswith("bert.")}
        stored["pooler.dense.weight"] = torch.zeros(C, C, dtype=dtype)
        stored["pooler.dense.bias"] = torch.zeros(C, dtype=dtype)
        stored["embeddings.position_ids"] = torch.arange(TINY["max_position_embeddings"])[None]
    elif naming == "pretraining":
        architecture = "BertForPreTraining"
        stored = {old_name(n): x for n, x in state.items() if n.startswith("bert.")}
        stored["cls.predictions.bias"] = torch.zeros(V, dtype=dtype)
        stored["cls.predictions.transform.LayerNorm.gamma"] = torch.ones(C, dtype=dtype)
        stored["cls.predictions.transform.LayerNorm.beta"] = torch.zeros(C, dtype=dtype)
        stored["cls.seq_relationship.weight"] = torch.zeros(2, C, dtype=dtype)
    save_file(stored, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    config = dict(TINY, architectures=[architecture], hidden_act=act, pad_token_id=0)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f, indent=2, sort_keys=True)
        f.write("\n")
    write_tokenizer(folder, naming)
    return model.double().eval()


def write_tokenizer(folder, naming):
    path = os.path.join(folder, "vocab.txt")
    with open(path, "w") as f:
        f.write("\n".join(vocabulary()) + "\n")
    if naming == "encoder":
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
            json.dump({"do_lower_case": True, "tokenizer_class": "BertTokenizer"}, f)
            f.write("\n")
    elif naming == "head":
        fast = BertTokenizerFast(vocab=path, do_lower_case=True, model_max_length=48)
        fast.save_pretrained(folder)
        with open(path, "w") as f:
            f.write("\n".join(vocabulary()) + "\n")


def tiny_batch():
    """Windows of 5, 17 and 31 rows; the first has no answer (both targets [CLS])."""
    generator = torch.Generator().manual_seed(5)
    windows = []
    for length, question, start, end in ((5, 2, 0, 0), (17, 6, 9, 12), (31, 4, 30, 30)):
        ids = torch.randint(5, TINY["vocab_size"], (length,), generator=generator)
        ids[0], ids[question + 1] = 2, 3
        if end != length - 1:
            ids[-1] = 3
        segments = (torch.arange(length) > question + 1).long()
        windows.append((ids, segments, start, end))
    return windows


def batch_tensors(windows):
    lengths = [len(w[0]) for w in windows]
    return {
        "ids": torch.cat([w[0] for w in windows]).int(),
        "segments": torch.cat([w[1] for w in windows]).int(),
        "offsets": torch.tensor(np.cumsum([0] + lengths), dtype=torch.int32),
        "targets": torch.tensor([[w[2], w[3]] for w in windows], dtype=torch.int32),
    }


def forward(model, windows):
    """Loss (mean over windows), logits [N, 2], hidden states [L + 1][N, C]."""
    losses, logits, hidden = [], [], []
    for ids, segments, start, end in windows:
        y = model(
            input_ids=ids[None],
            token_type_ids=segments[None],
            start_positions=torch.tensor([start]),
            end_positions=torch.tensor([end]),
            output_hidden_states=True,
        )
        losses.append(y.loss)
        logits.append(torch.stack([y.start_logits[0], y.end_logits[0]], dim=1))
        hidden.append([h[0] for h in y.hidden_states])
    return torch.stack(losses).mean(), torch.cat(logits), [torch.cat(h) for h in zip(*hidden)]


def short(name):
    return name[5:] if name.startswith("bert.") else name


def adamw(parameters):
    optimizer = torch.optim.AdamW(parameters, lr=1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)

    def step(rate):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()

    return step


def bert_adam(named):
    """google-research/bert's AdamWeightDecayOptimizer, written from its description."""
    moments = {n: (torch.zeros_like(p), torch.zeros_like(p)) for n, p in named}

    @torch.no_grad()
    def step(rate):
        for n, p in named:
            m, v = moments[n]
            m.mul_(0.9).add_(p.grad, alpha=0.1)
            v.mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
            update = m / (v.sqrt() + 1e-6)
            if "LayerNorm" not in n and "bias" not in n:
                update += 0.01 * p
            p.sub_(rate * update)

    return step


def rates(kind, peak):
    if kind == "adamw":
        return [peak * (STEPS - t) / STEPS for t in range(STEPS)]
    warmup = 2
    return [peak * (t / warmup if t < warmup else 1 - t / STEPS) for t in range(STEPS)]


def train(model, windows, kind, peak):
    """Ten updates; the model's parameters are put back. Gives losses, norms, parameters after."""
    named = list(model.named_parameters())
    before = [p.detach().clone() for _, p in named]
    step = adamw(model.parameters()) if kind == "adamw" else bert_adam(named)
    losses, norms = [], []
    for rate in rates(kind, peak):
        model.zero_grad()
        loss, _, _ = forward(model, windows)
        loss.backward()
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        step(rate)
    after = {short(n): p.detach().clone() for n, p in named}
    with torch.no_grad():
        for (_, p), x in zip(named, before):
            p.copy_(x)
    out = {
        f"{kind}.learning_rate": torch.tensor(rates(kind, peak)),
        f"{kind}.loss": torch.tensor(losses),
        f"{kind}.norm": torch.tensor(norms),
    }
    return out, after


def sample(name, x, out, count=48):
    """The norm of x and some of its elements, the largest among them."""
    flat = x.detach().flatten()
    generator = torch.Generator().manual_seed(len(name) * 131 + flat.numel() % 9973)
    index = torch.randint(0, flat.numel(), (count,), generator=generator)
    top = min(count // 4, flat.numel())
    index[:top] = flat.abs().topk(top).indices
    out[name + ".norm"] = flat.norm().reshape(1)
    out[name + ".index"] = index.int()
    out[name + ".value"] = flat[index]


def golden(model, windows, peak, whole):
    """All that one golden file holds. whole: whole tensors, else norms and samples."""
    put = (lambda name, x, out: out.__setitem__(name, x.detach().clone())) if whole else sample
    out = batch_tensors(windows)
    out["qa_outputs.weight"] = model.qa_outputs.weight.detach().clone()
    out["qa_outputs.bias"] = model.qa_outputs.bias.detach().clone()
    model.zero_grad()
    loss, logits, hidden = forward(model, windows)
    loss.backward()
    gradients = {short(n): p.grad.clone() for n, p in model.named_parameters()}
    out["loss"], out["logits"] = loss.detach().reshape(1), logits.detach()
    out["norm"] = torch.stack([g.norm() for g in gradients.values()]).norm().reshape(1)
    for i, h in enumerate(hidden):
        put(f"hidden.{i}", h, out)
    for name, g in gradients.items():
        put("gradient." + name, g, out)
    for kind in ("adamw", "bert_adam"):
        curve, after = train(model, windows, kind, peak)
        out.update(curve)
        for name, x in after.items():
            if kind == "adamw" and whole:
                put(f"{kind}.parameter.{name}", x, out)
            else:
                sample(f"{kind}.parameter.{name}", x, out, 32)
    return out


def write_golden(name, tensors, keep=lambda name: True):
    os.makedirs(GOLDEN, exist_ok=True)
    tensors = {
        n: (x.float() if x.is_floating_point() else x).contiguous()
        for n, x in tensors.items()
        if keep(n)
    }
    note = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    path = os.path.join(GOLDEN, name + ".safetensors")
    save_file(tensors, path, note)
    print(name, len(tensors), "tensors,", os.path.getsize(path), "bytes")


def check_by_transformers(name, model, windows):
    """transformers opens the folder and gives the same hidden states."""
    folder = os.path.join(FIXTURES, "bert-" + name)
    again = BertForQuestionAnswering.from_pretrained(folder, dtype=torch.float64).eval()
    again.qa_outputs.load_state_dict(model.qa_outputs.state_dict())
    a, b = forward(model, windows)[1], forward(again, windows)[1]
    assert torch.equal(a, b), f"{name}: transformers reads other values"


def write_tiny():
    windows = tiny_batch()
    kinds = (
        ("question-answering", "gelu", 1, torch.float32, "head"),
        ("encoder", "gelu_new", 2, torch.bfloat16, "encoder"),
        ("pretraining", "gelu_pytorch_tanh", 3, torch.float16, "pretraining"),
    )
    for name, act, seed, dtype, naming in kinds:
        model = write_fixture(name, act, seed, dtype, naming)
        silence_dropout(model)
        check_by_transformers(name, model, windows)
        whole = naming == "head"
        tensors = golden(model, windows, 1e-3, whole)
        write_golden(name, tensors, lambda n: whole or "adam" not in n)


def silence_dropout(model):
    for m in model.modules():
        if isinstance(m, torch.nn.Dropout):
            m.p = 0.0


def real_windows(folder):
    """Four windows of XQuAD English as run_qa makes them (384, 128): short, long, no answer."""
    tokenizer = BertTokenizerFast.from_pretrained(folder, model_max_length=512)
    with open(XQUAD) as f:
        articles = json.load(f)["data"]
    found = {}
    for article in articles:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                for window in windows_of(tokenizer, qa, paragraph["context"]):
                    length, answered = len(window[0]), window[3] > 0
                    kind = ("full" if length == 384 else "short" if length < 110 else "middle",
                            answered)
                    found.setdefault(kind, window)
    wanted = (("middle", True), ("full", False), ("short", True), ("full", True))
    return [found[k] for k in wanted if k in found]


def windows_of(tokenizer, qa, context):
    encoded = tokenizer(
        qa["question"].lstrip(),
        context,
        truncation="only_second",
        max_length=384,
        stride=128,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    answer = qa["answers"][0]
    first, last = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    for i, offsets in enumerate(encoded["offset_mapping"]):
        side = encoded.sequence_ids(i)
        inside = [k for k, s in enumerate(side) if s == 1]
        start = end = 0
        if offsets[inside[0]][0] <= first and offsets[inside[-1]][1] >= last:
            start = max(k for k in inside if offsets[k][0] <= first)
            end = min(k for k in inside if offsets[k][1] >= last)
        ids = torch.tensor(encoded["input_ids"][i])
        yield ids, torch.tensor(encoded["token_type_ids"][i]), start, end


def write_minilm(folder):
    config = BertConfig.from_pretrained(folder)
    model = BertForQuestionAnswering(config)
    state = load_file(os.path.join(folder, "model.safetensors"))
    generator = torch.Generator().manual_seed(11)
    own = {"bert." + n: x for n, x in state.items() if "pooler" not in n and "position_ids" not in n}
    own["qa_outputs.weight"] = torch.randn(2, config.hidden_size, generator=generator) * 0.02
    own["qa_outputs.bias"] = torch.randn(2, generator=generator) * 0.02
    model.load_state_dict(own)
    silence_dropout(model)
    windows = real_windows(folder)
    print("windows of", [len(w[0]) for w in windows], "rows, answers", [w[2:] for w in windows])
    assert len(windows) == 4
    write_golden("minilm", golden(model.double().eval(), windows, 3e-5, False))


if __name__ == "__main__":
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    write_tiny()
    if len(sys.argv) > 1:
        write_minilm(sys.argv[1])
