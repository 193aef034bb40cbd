/** @file ALoRA: moves ranks from directions that held-out loss needs least to more important layers. */

import { type StepTensor, type TrainingStep, TorchRandom, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';
import { hashOf } from './restarts.ts';
import { finite, whole, wrong } from '../settings.ts';
import { kaiming, zeros } from '../tensors.ts';

interface Settings {
  readonly r: number;
  readonly review_every: number;
  readonly reviews: number;
  readonly moved: number;
  readonly seed: number;
}

export const allocatingLora: Tuner = {
  name: 'allocating-lora',
  peftType: 'ALLOCATING_LORA',
  paper: 'https://arxiv.org/abs/2403.16187',
  description:
    'ALoRA: LoRA whose ranks move, every so many steps, from where the loss of held-out examples needs them least to layers that keep theirs',
  // Each layer begins with `r` directions, up to `max_r`; a review moves `moved` in total.
  defaults: { r: 8, lora_alpha: 16, max_r: 12, review_every: 100, reviews: 3, moved: 4, seed: 0 },
  tune: (layer, settings) => {
    const [r, most] = [whole(settings, 'r'), whole(settings, 'max_r')];
    if (most < r) throw wrong(settings, 'max_r', `at least r, which is ${r}`);
    for (const key of ['review_every', 'reviews', 'moved']) whole(settings, key);
    const scaling = finite(settings, 'lora_alpha') / r;
    const open = (): Float32Array => new Float32Array(most).map((_, k) => Number(k < r));
    return {
      tensors: {
        lora_A: kaiming([most, layer.in]),
        lora_B: zeros([layer.out, most]),
        gate: { dims: [1, most], role: 'state', saved: true, init: open, identity: open },
      },
      factors: (g, { lora_A: A, lora_B: B, gate }) => ({ A: A!, B: g.Mul(g.Mul(B!, gate!), scaling) }),
    };
  },
  training: (settings) => ({
    review: async (step, loss) => {
      const { review_every: every, reviews } = settings as unknown as Settings;
      const review = (step.step + 1) / every;
      if (!Number.isInteger(review) || review > reviews) return;
      move(await importances(step.modules, loss), step, review, settings);
    },
  }),
};

interface Direction {
  readonly module: TrainingStep['modules'][number];
  readonly k: number;
  readonly importance: number;
}

/** Importance of a direction: loss without it − loss with all − loss with it alone. */
async function importances(modules: TrainingStep['modules'], loss: () => Promise<number>): Promise<Direction[]> {
  const gates = modules.map(({ tensors }) => tensors['gate']!.value);
  const begun = gates.map((gate) => gate.slice());
  const open = begun.flatMap((gate, m) => Array.from(gate.keys()).flatMap((k) => (gate[k] === 1 ? [[m, k] as const] : []))); // prettier-ignore
  const all = await loss();
  const found: Direction[] = [];
  for (const [m, k] of open) {
    gates[m]![k] = 0;
    const without = await loss();
    for (const gate of gates) gate.fill(0);
    gates[m]![k] = 1;
    const alone = await loss();
    gates.forEach((gate, i) => {
      gate.set(begun[i]!);
    });
    found.push({ module: modules[m]!, k, importance: without - all - alone });
  }
  return found;
}

/** Closes the least important directions and opens as many in layers that lose none, the most important first. */
function move(directions: Direction[], { modules }: TrainingStep, review: number, settings: TunerSettings): void {
  const { moved, seed } = settings as unknown as Settings;
  const ascending = directions.sort((one, other) => one.importance - other.importance);
  const roomOf = ({ tensors }: Direction['module']): number =>
    tensors['gate']!.value.filter((each) => each === 0).length;
  let closed = ascending.slice(0, moved);
  const keeping = (): TrainingStep['modules'] =>
    modules.filter((each) => !closed.some(({ module }) => module === each));
  const room = (): number => keeping().reduce((sum, each) => sum + roomOf(each), 0);
  while (closed.length > room()) closed = closed.slice(0, -1);
  const meanOf = (of: Direction['module']): number => {
    const own = directions.filter(({ module }) => module === of);
    return own.length === 0 ? -Infinity : own.reduce((sum, { importance }) => sum + importance, 0) / own.length;
  };
  const grown = [...keeping()].sort((one, other) => meanOf(other) - meanOf(one));
  for (const { module, k } of closed) module.tensors['gate']!.value[k] = 0;
  for (let opened = 0; opened < closed.length;)
    for (const { layer, tensors } of grown) {
      if (opened === closed.length || roomOf({ layer, tensors }) === 0) continue;
      open(tensors, layer.in, new TorchRandom((hashOf(layer.path) + seed + review + opened) >>> 0));
      opened++;
    }
}

function open(
  { lora_A: A, lora_B: B, gate }: Readonly<Record<string, StepTensor>>,
  width: number,
  random: TorchRandom,
): void {
  const k = gate!.value.indexOf(0);
  gate!.value[k] = 1;
  const most = gate!.value.length;
  A!.value.set(random.uniform(width, -(width ** -0.5), width ** -0.5), k * width);
  for (const moment of A!.moments!()) moment.fill(0, k * width, (k + 1) * width);
  for (const each of [B!.value, ...B!.moments!()]) for (let i = k; i < each.length; i += most) each[i] = 0;
}
