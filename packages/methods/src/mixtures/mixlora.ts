/** @file MixLoRA: several experts per feed-forward block, each the block with LoRAs, and one router. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ByTensor, LayerInGraph, TargetLayer, Tuner, TunerSettings } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { choices, expertTensors, imbalance, mixed } from './experts.ts';
import { finite, whole, wrong } from '../tuners/settings.ts';
import { loraOf } from '../tuners/lowRank/lora.ts';
import { normal } from '../tuners/tensors.ts';

export const mixlora: Tuner = {
  name: 'mixlora',
  peftType: 'MIXLORA',
  paper: 'https://arxiv.org/abs/2404.15159',
  description:
    'MixLoRA: each feed-forward block as several experts with LoRAs of their own, and a router that takes the best of them for each token; LoRA on other layers',
  // `feedforward_modules`: path suffixes of a block's layers, the block's output layer last: `["up_proj", "gate_proj",
  // "down_proj"]`. Empty: each layer is a block.
  defaults: {
    feedforward_modules: [],
    num_experts: 8,
    top_k: 2,
    r: 8,
    lora_alpha: 16,
    router_init_range: 0.02,
    router_aux_loss_coef: 0.01,
  },
  tune: (layer, settings, layers) => {
    const sizes = { experts: whole(settings, 'num_experts'), r: whole(settings, 'r') };
    const scaling = finite(settings, 'lora_alpha') / sizes.r;
    if (whole(settings, 'top_k') > sizes.experts) throw wrong(settings, 'top_k', `at most num_experts, which is ${sizes.experts}`); // prettier-ignore
    finite(settings, 'router_aux_loss_coef');
    const block = blockOf(layer, settings, layers);
    if (!block) return loraOf(layer, settings);
    const { A, B } = expertTensors(sizes, layer);
    const router = normal([sizes.experts, (block.inner[0] ?? layer).in], finite(settings, 'router_init_range'));
    return {
      tensors: { mixlora_A: A, mixlora_B: B, mixlora_router: { ...router, share: { group: block.name } } },
      apply: (g, own, tensors) => {
        const isLast = !block.inner.some(({ path }) => path === layer.path);
        const { chosen, outputs } = isLast && block.inner.length > 0 ? routed(layer, block, tensors) : route(g, layer, own, tensors, settings); // prettier-ignore
        const expert = (x: Value, base: Value, isChosen: Value): Value =>
          g.Add(base, g.Mul(mixed(g, x, { A: tensors['mixlora_A']!, B: tensors['mixlora_B']! }, isChosen, sizes), scaling)); // prettier-ignore
        if (!isLast) {
          const base = own.forward(own.x);
          const all = chosen.map(({ isChosen }) => expert(own.x, base, isChosen));
          outputs.set(layer.path, all);
          return all[0]!;
        }
        // The block's own nodes compute the best expert; copies compute the others.
        const sums = chosen.map(({ weight, isChosen }, i) => {
          const given = block.inner.map(({ path }) => [path, outputs.get(path)![i]!] as const);
          const x = i === 0 || given.length === 0 ? own.x : own.inputGiven(Object.fromEntries(given));
          return g.Mul(expert(x, own.forward(x), isChosen), weight);
        });
        outputs.set(layer.path, sums);
        return sums.reduce((one, other) => g.Add(one, other));
      },
    };
  },
};

/** The layers of a feed-forward block; `inner` are all but its output layer. */
interface Block {
  readonly name: string;
  readonly inner: readonly TargetLayer[];
}

/** The layer's block, if all of its layers are adapted. */
function blockOf({ path }: TargetLayer, settings: TunerSettings, layers: readonly TargetLayer[]): Block | undefined {
  const names = settings['feedforward_modules'];
  if (!Array.isArray(names) || names.some((each) => typeof each !== 'string')) throw wrong(settings, 'feedforward_modules', 'a list of names'); // prettier-ignore
  if (names.length === 0) return { name: path, inner: [] };
  for (const end of names as string[]) {
    if (path !== end && !path.endsWith(`.${end}`)) continue;
    const start = path.slice(0, path.length - end.length);
    const own = (names as string[]).flatMap((each) => layers.find((other) => other.path === `${start}${each}`) ?? []);
    if (own.length === names.length) return { name: start.slice(0, -1), inner: own.slice(0, -1) };
  }
  return undefined;
}

interface Routed {
  readonly chosen: ReturnType<typeof choices>;
  readonly outputs: Map<string, readonly Value[]>;
}

/** The last routing, by the router's tensor in the graph. */
const said = new WeakMap<Value, Routed>();

/** Routes a block's input: once for all of its layers, and again where the model calls the block again. */
function route(
  g: GraphBuilder,
  { path }: TargetLayer,
  { x, addLoss }: LayerInGraph,
  { mixlora_router: router }: ByTensor<Value>,
  { num_experts, top_k, router_aux_loss_coef }: TunerSettings,
): Routed {
  const known = said.get(router!);
  if (known && !known.outputs.has(path)) return known;
  const [experts, k, weight] = [num_experts, top_k, router_aux_loss_coef] as [number, number, number];
  const scores = g.MatMul(x, g.Transpose(router!, [1, 0]));
  if (weight !== 0) addLoss(() => g.Mul(imbalance(g, scores, k, experts), weight));
  const own: Routed = { chosen: choices(g, scores, k, experts), outputs: new Map() };
  said.set(router!, own);
  return own;
}

/** The routing for the output layer. @throws OnnxLoraError `CONFIG_INVALID` if it runs before an inner layer */
function routed({ path }: TargetLayer, { inner }: Block, { mixlora_router: router }: ByTensor<Value>): Routed {
  const known = said.get(router!);
  if (known && inner.every((layer) => known.outputs.has(layer.path))) return known;
  throw new OnnxLoraError('CONFIG_INVALID', `"${path}" comes before another layer of its feed-forward block. Name the layer that yields what the block does last in feedforward_modules.`); // prettier-ignore
}
