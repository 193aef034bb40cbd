/** @file X-LoRA: separately trained LoRAs, weighted by a classifier that reads the base's features. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ByTensor, LayerInGraph, TensorSpec, Tuner, TunerSettings } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { expertTensors, isTop, mixed, topGates } from './experts.ts';
import { finite, whole, wrong } from '../tuners/settings.ts';
import { uniform } from '../tuners/tensors.ts';

export const xlora: Tuner = {
  name: 'xlora',
  peftType: 'XLORA',
  paper: 'https://arxiv.org/abs/2402.07148',
  description: 'X-LoRA: a classifier that weighs LoRAs by what the base alone makes of the input (made by `mixtureOf`)',
  defaults: {
    experts: [],
    r: 8,
    // The layer whose input the classifier reads; null is the last linear layer.
    hidden_layer: null,
    hidden_size: null,
    xlora_depth: 1,
    xlora_size: 2048,
    use_bias: true,
    layerwise_scalings: false,
    enable_softmax: true,
    softmax_temperature: 1,
    top_k_lora: null,
    enable_softmax_topk: false,
    global_scaling_weight: 1,
    route_by: 'token',
  },
  tune: (layer, settings, layers) => {
    const experts = Math.max(1, (settings['experts'] as string[]).length);
    const sizes = { experts, r: whole(settings, 'r') };
    const { A, B } = expertTensors(sizes, layer);
    const isByLayer = settings['layerwise_scalings'] === true;
    // The classifier orders its outputs by path, whatever the order in the file.
    const at = isByLayer ? layers.map(({ path }) => path).sort().indexOf(layer.path) : 0; // prettier-ignore
    const classifier = classifierOf(settings, experts * (isByLayer ? layers.length : 1), layer.in);
    return {
      tensors: { xlora_A: { ...A, role: 'frozen' }, xlora_B: { ...B, role: 'frozen' }, ...classifier },
      apply: (g, own, tensors) => {
        const all = logitsOf(g, own, tensors, settings);
        const logits = isByLayer ? g.Slice(all, [at * experts], [(at + 1) * experts], [-1]) : all;
        const gates = g.Mul(gatesOf(g, logits, settings, experts), finite(settings, 'global_scaling_weight'));
        const spread = gates.shape!.length < own.x.shape!.length ? g.Unsqueeze(gates, [1]) : gates;
        return g.Add(own.forward(own.x), mixed(g, own.x, { A: tensors['xlora_A']!, B: tensors['xlora_B']! }, spread, sizes)); // prettier-ignore
      },
    };
  },
};

/** The classifier's tensors, shared by all layers: linear layers with ReLU between them. */
function classifierOf(settings: TunerSettings, outputs: number, width: number): Record<string, TensorSpec> {
  const hidden = settings['hidden_size'] === null ? width : whole(settings, 'hidden_size');
  const inner = new Array<number>(whole(settings, 'xlora_depth') - 1).fill(whole(settings, 'xlora_size'));
  const widths = [hidden, ...inner, outputs];
  const entries = widths.slice(1).flatMap((out, i): [string, TensorSpec][] => {
    const bound = 1 / Math.sqrt(widths[i]!);
    const tensor = (dims: readonly number[]): TensorSpec => ({ ...uniform(dims, bound), share: 'adapter' });
    return [
      [`xlora_classifier.${2 * i}.weight`, tensor([out, widths[i]!])],
      ...(settings['use_bias'] === false ? [] : [[`xlora_classifier.${2 * i}.bias`, tensor([out])] as [string, TensorSpec]]), // prettier-ignore
    ];
  });
  return Object.fromEntries(entries);
}

/** The classifier's output per graph, shared by all layers. */
const said = new WeakMap<Value, Value>();

/** `[batch, tokens, outputs]`, or `[batch, outputs]` where the base's features have no token axis. */
function logitsOf(g: GraphBuilder, layer: LayerInGraph, tensors: ByTensor<Value>, settings: TunerSettings): Value {
  const first = tensors['xlora_classifier.0.weight']!;
  const known = said.get(first);
  if (known) return known;
  const { hidden_layer: path, route_by: by, xlora_depth: depth } = settings;
  if (by !== 'token' && by !== 'example') throw wrong(settings, 'route_by', '"token" or "example"');
  const read = layer.inputOfBase((path as string | null) ?? undefined);
  const width = read.shape?.at(-1);
  if (width !== first.shape![1]) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The classifier of X-LoRA is for ${first.shape![1]} features, and ${(path as string | null) === null ? 'the last linear layer' : `"${path as string}"`} reads ${String(width)}. Give hiddenSize: ${String(width)} to mixtureOf.`,
    );
  }
  const tokens = Array.from({ length: Math.max(0, read.shape!.length - 2) }, (_, i) => i + 1);
  let x = by === 'example' && tokens.length > 0 ? g.ReduceMean(read, tokens, true) : read;
  for (let i = 0; i < (depth as number); i++) {
    const product = g.MatMul(
      i === 0 ? x : g.Relu(x),
      g.Transpose(tensors[`xlora_classifier.${2 * i}.weight`]!, [1, 0]),
    );
    const bias = tensors[`xlora_classifier.${2 * i}.bias`];
    x = bias ? g.Add(product, bias) : product;
  }
  said.set(first, x);
  return x;
}

/** Softmax, then top-k, as PEFT's settings ask. */
function gatesOf(g: GraphBuilder, logits: Value, settings: TunerSettings, experts: number): Value {
  const soft = settings['enable_softmax'] === true ? g.Softmax(g.Div(logits, finite(settings, 'softmax_temperature')), -1) : logits; // prettier-ignore
  if (settings['top_k_lora'] === null) return soft;
  const k = Math.min(whole(settings, 'top_k_lora'), experts);
  if (settings['enable_softmax_topk'] === true) return topGates(g, soft, k, experts);
  return k === experts ? soft : g.Where(isTop(g, soft, k), soft, 0);
}
