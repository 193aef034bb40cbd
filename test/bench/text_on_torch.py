"""Adapts a MiniLM or a small LLaMA with PEFT on torch, as `test/bench/texts.ts` does here: the same data, steps and rates.

text_on_torch.py MODEL DATA TASK TARGETS SEED    MODEL is a folder with MiniLM's published ONNX file, from which torch's weights
are read, or with LLaMA's safetensors; DATA the folder of data sets; TASK `sections`, `tokens`, `pairs` or `answers`; TARGETS `q,v` or `all`.
Prints one line of JSON: the metric on the test part, seconds, CPU seconds and the largest resident memory until the training's end.
"""

import csv
import json
import resource
import sys
import time
import warnings

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

TARGETS = {
    "q,v": ["query", "value"],
    "all": ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"],
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}


def minilm(folder):
    graph = onnx.load(f"{folder}/onnx/model.onnx").graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    state = {name: value for name, value in stored.items() if not name.startswith(("onnx::", "/"))}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored and node.input[1] not in state:
            state[".".join(node.name.strip("/").split("/")[:-1]) + ".weight"] = stored[node.input[1]].T
    config = BertConfig.from_pretrained(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = BertModel(config, add_pooling_layer=False)
    found = {name: torch.tensor(np.ascontiguousarray(value)) for name, value in state.items()}
    result = model.load_state_dict(found, strict=False)
    assert not [each for each in result.missing_keys if "position_ids" not in each], result.missing_keys
    return model, PreTrainedTokenizerFast.from_pretrained(folder)


def tuned(model, targets, extra=()):
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS[targets]))
    return model, [*(each for each in model.parameters() if each.requires_grad), *extra]


def epochs(count, size, steps, seed):
    """Batches of numbers, drawn anew in each round, without what is left over."""
    drawn = torch.Generator().manual_seed(seed)
    made = 0
    while made < steps:
        order = torch.randperm(count, generator=drawn)
        for start in range(0, count - size + 1, size):
            if made == steps:
                return
            made += 1
            yield order[start : start + size].tolist()


def learn(parameters, batches, steps, lr, loss_of, warmup=0, clip=None):
    optimizer = torch.optim.AdamW(parameters, lr, weight_decay=0)
    began, cpu = time.perf_counter(), time.process_time()
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (step + 1) / warmup if warmup else 1) * (1 - step / steps)
        loss_of(batch).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "peakMb": peak}


def rows_of(file, split):
    return [row for row in csv.DictReader(open(file, encoding="utf-8")) if row["split"] == split]


def pooled(model, tokenizer, texts, length):
    fed = tokenizer(texts, truncation=True, max_length=length, padding=True, return_tensors="pt")
    states = model(**fed).last_hidden_state
    mask = fed["attention_mask"].unsqueeze(-1)
    return (states * mask).sum(1) / mask.sum(1)


def sections(folder, data, targets, seed):
    file = f"{data}/debian-sections/sections.csv"
    train, test = rows_of(file, "train"), rows_of(file, "test")
    labels = sorted({row["label"] for row in train})
    model, tokenizer = minilm(folder)
    head = torch.nn.Linear(model.config.hidden_size, len(labels))
    model, parameters = tuned(model, targets, head.parameters())

    def scores(rows):
        return head(pooled(model, tokenizer, [row["text"] for row in rows], 64))

    def loss_of(batch):
        rows = [train[i] for i in batch]
        return torch.nn.functional.cross_entropy(scores(rows), torch.tensor([labels.index(row["label"]) for row in rows]))

    figures = learn(parameters, epochs(len(train), 16, 404, seed), 404, 1e-3, loss_of)
    with torch.no_grad():
        found = [labels[i] for at in range(0, len(test), 32) for i in scores(test[at : at + 32]).argmax(-1).tolist()]
    return {**figures, "value": sum(a == row["label"] for a, row in zip(found, test)) / len(test)}


def tokens(folder, data, targets, seed):
    read = lambda name: [json.loads(line) for line in open(f"{data}/wordnet-pos/{name}.jsonl", encoding="utf-8")]
    train, test = read("train"), read("test")
    classes = sorted({tag for row in train for tag in row["tags"] if tag})
    model, tokenizer = minilm(folder)
    head = torch.nn.Linear(model.config.hidden_size, len(classes))
    model, parameters = tuned(model, targets, head.parameters())

    def scored(rows):
        """Scores of the first piece of each word that has a class, and the classes."""
        fed = tokenizer([row["tokens"] for row in rows], is_split_into_words=True, truncation=True, max_length=64, padding=True, return_tensors="pt")
        states = model(**fed).last_hidden_state
        places, labels = [], []
        for i, row in enumerate(rows):
            words = fed.word_ids(i)
            for at, word in enumerate(words):
                if word is not None and word != words[at - 1] and row["tags"][word]:
                    places.append((i, at))
                    labels.append(classes.index(row["tags"][word]))
        rows_at, columns_at = zip(*places)
        return head(states[list(rows_at), list(columns_at)]), torch.tensor(labels)

    figures = learn(parameters, epochs(len(train), 16, 438, seed), 438, 1e-3, lambda batch: torch.nn.functional.cross_entropy(*scored([train[i] for i in batch])))
    with torch.no_grad():
        parts = [scored(test[at : at + 32]) for at in range(0, len(test), 32)]
    right = sum((scores.argmax(-1) == labels).sum().item() for scores, labels in parts)
    return {**figures, "value": right / sum(len(labels) for _, labels in parts)}


def pairs(folder, data, targets, seed):
    file = f"{data}/debian-pairs/pairs.csv"
    train, test = rows_of(file, "train"), rows_of(file, "test")
    model, tokenizer = minilm(folder)
    model, parameters = tuned(model, targets)

    def embedded(rows, column):
        return torch.nn.functional.normalize(pooled(model, tokenizer, [row[column] for row in rows], 96), dim=-1)

    def loss_of(batch):
        rows = [train[i] for i in batch]
        cosines = embedded(rows, "query") @ embedded(rows, "document").T / 0.05
        return torch.nn.functional.cross_entropy(cosines, torch.arange(len(rows)))

    figures = learn(parameters, epochs(len(train), 32, 75, seed), 75, 1e-3, loss_of)
    with torch.no_grad():
        queries, documents = (
            torch.cat([embedded(test[at : at + 32], column) for at in range(0, len(test), 32)])
            for column in ("query", "document")
        )
        cosines = queries @ documents.T
        first = (cosines > cosines.diagonal().unsqueeze(1)).sum(1) == 0
    return {**figures, "value": first.float().mean().item()}


def answers(folder, data, _, seed):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model, parameters = tuned(model, "llama")

    def read(name):
        rows = []
        for line in open(f"{data}/debian-instructions/{name}.jsonl", encoding="utf-8"):
            made = tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=True, return_assistant_tokens_mask=True)
            rows.append((made["input_ids"], made["assistant_masks"]))
        return rows

    def loss_of(rows, reduction="mean"):
        length = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([own + [tokenizer.pad_token_id] * (length - len(own)) for own, _ in rows])
        mask = torch.tensor([[1] * len(own) + [0] * (length - len(own)) for own, _ in rows])
        labels = torch.tensor([[i if m else -100 for i, m in zip(own, marks)] + [-100] * (length - len(own)) for own, marks in rows])
        logits = model(input_ids=ids, attention_mask=mask).logits
        flat = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
        return torch.nn.functional.cross_entropy(*flat, reduction=reduction), int((labels[:, 1:] != -100).sum())

    train, test = read("train"), read("test")
    batches = epochs(len(train), 16, 300, seed)
    figures = learn(parameters, batches, 300, 3e-3, lambda batch: loss_of([train[i] for i in batch])[0], warmup=10, clip=1.0)
    with torch.no_grad():
        parts = [loss_of(test[at : at + 16], "sum") for at in range(0, len(test), 16)]
    return {**figures, "value": sum(loss.item() for loss, _ in parts) / sum(count for _, count in parts)}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    folder, data, task, targets, seed = sys.argv[1:]
    torch.manual_seed(int(seed))
    print(json.dumps({"sections": sections, "tokens": tokens, "pairs": pairs, "answers": answers}[task](folder, data, targets, int(seed))))
