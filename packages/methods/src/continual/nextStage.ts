/** @file Prepares an adapter for the next task of `continual`. */

import { Adapter, float32, type Tensor } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';

/** The adapter to continue from: O-LoRA, SD-LoRA and EWC change their tensors between tasks. */
export function nextStage(adapter: Adapter, seed: number): Adapter {
  const { config, tensors, baseDigest, notes } = adapter;
  const { extra } = config;
  const changed = (more: object, numbers: ReadonlyMap<string, Tensor>): Adapter => new Adapter({ ...config, extra: { ...extra, ...more } }, numbers, baseDigest, notes); // prettier-ignore
  switch (config.peftType) {
    case 'O_LORA':
      return changed({ old_r: Number(extra['old_r']) + Number(extra['r']) }, withOld(tensors, new Random(seed)));
    case 'SD_LORA': {
      const directions = withMagnitudes(tensors, Number(extra['init_scale']));
      return changed({ old_tasks: Number(extra['old_tasks']) + 1 }, withOld(directions, new Random(seed)));
    }
    case 'EWC_LORA':
      return changed({}, anchored(tensors));
    default:
      return adapter;
  }
}

/**
 * SD-LoRA: normalises A and B and appends their magnitude to the earlier tasks', so that ΔW stays.
 * The authors begin each stage with magnitudes of 0.8.
 */
function withMagnitudes(tensors: ReadonlyMap<string, Tensor>, first: number): Map<string, Tensor> {
  const next = new Map(tensors);
  for (const [name, A] of tensors) {
    if (!name.endsWith('.lora_A')) continue;
    const named = (word: string): string => name.replace(/lora_A$/, word);
    const B = tensors.get(named('lora_B'))!;
    const [unitA, unitB] = [unit(A), unit(B)];
    next.set(name, unitA.direction);
    next.set(named('lora_B'), unitB.direction);
    const scale = Number(tensors.get(named('scale'))!.data[0]) * unitA.length * unitB.length;
    const old = tensors.get(named('old_scale'));
    const scales = [...((old?.data ?? []) as Iterable<number>), scale];
    next.set(named('old_scale'), float32(scales, [scales.length]));
    next.set(named('scale'), float32([first], [1]));
  }
  return next;
}

function unit({ data, dims }: Tensor): { readonly direction: Tensor; readonly length: number } {
  const numbers = data as Float32Array;
  const length = Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0));
  return {
    direction: float32(
      numbers.map((value) => value / (length || 1)),
      dims,
    ),
    length,
  };
}

/** O-LoRA and SD-LoRA: appends A and B to the earlier tasks' and draws new ones. */
function withOld(tensors: ReadonlyMap<string, Tensor>, random: Random): Map<string, Tensor> {
  const next = new Map(tensors);
  // Sorted, so that random draws do not depend on the order of tensors in a run or a file.
  for (const name of [...tensors.keys()].toSorted()) {
    if (!name.endsWith('.lora_A')) continue;
    const named = (word: string): string => name.replace(/lora_A$/, word);
    const [A, B] = [tensors.get(name)!, tensors.get(named('lora_B'))!];
    const [oldA, oldB] = [tensors.get(named('old_A')), tensors.get(named('old_B'))];
    next.set(named('old_A'), rows(oldA, A));
    next.set(named('old_B'), transposed(rows(oldB && transposed(oldB), transposed(B))));
    const bound = 1 / Math.sqrt(A.dims[1]!);
    next.set(name, float32(new Float32Array(A.data.length).map(() => random.uniform(-bound, bound)), A.dims)); // prettier-ignore
    next.set(named('lora_B'), float32(new Float32Array(B.data.length), B.dims));
  }
  return next;
}

/** EWC: anchors the current values, with the summed squared gradients as stiffness. */
function anchored(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const next = new Map(tensors);
  for (const [name, { dims, data }] of tensors) {
    const [, module, factor] = /^(.*\.)(lora_[AB])$/.exec(name) ?? [];
    if (factor === undefined) continue;
    const numbers = (word: string): Float32Array => tensors.get(`${module}${word}`)!.data as Float32Array;
    const [steps] = numbers('steps');
    const [fisher, squares] = [numbers(`fisher_${factor}`), numbers(`squares_${factor}`)];
    next.set(`${module}anchor_${factor}`, float32((data as Float32Array).slice(), dims));
    next.set(`${module}fisher_${factor}`, float32(fisher.map((value, i) => value + squares[i]! / Math.max(1, steps!)), dims)); // prettier-ignore
    next.set(`${module}squares_${factor}`, float32(new Float32Array(squares.length), dims));
    if (factor === 'lora_B') next.set(`${module}steps`, float32([0], [1]));
  }
  return next;
}

function rows(above: Tensor | undefined, below: Tensor): Tensor {
  const [count, width] = below.dims as [number, number];
  if (!above) return float32((below.data as Float32Array).slice(), below.dims);
  return float32([...(above.data as Float32Array), ...(below.data as Float32Array)], [above.dims[0]! + count, width]);
}

function transposed({ dims, data }: Tensor): Tensor {
  const [count, width] = dims as [number, number];
  return float32(Float32Array.from(data as Float32Array, (_, i) => Number(data[(i % count) * width + Math.floor(i / count)])), [width, count]); // prettier-ignore
}
