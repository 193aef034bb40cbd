/** @file MiSS: ΔW repeats one thin block over the inputs. */

import type { ChangeOfWeight, TargetLayer, Tuner, TunerSettings, AdapterLayer } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { dropoutOf, peftModules, requireOnly, whole, wrong } from '../settings.ts';
import { identity } from '../rotations/rotation.ts';
import { kaiming, zeros } from '../tensors.ts';

export const miss: Tuner = {
  name: 'miss',
  peftType: 'MISS',
  paper: 'https://arxiv.org/abs/2409.15371',
  description:
    'MiSS: one thin block of weights, which all shards of the inputs share; with `init_weights: "bat"` times the weight',
  defaults: { r: 64, mini_r: 1, miss_dropout: 0, init_weights: true, bias: 'none', ...peftModules },
  tune: (layer, settings) => {
    requireOnly(settings, { bias: 'none' });
    const r = whole(settings, 'r');
    if (r > layer.in) throw wrong(settings, 'r', `at most ${layer.in}, the inputs of "${layer.path}"`);
    if (settings['init_weights'] === 'bat') return bat(layer, settings, r);
    return shared(layer, settings, r);
  },
};

/** ΔW[o, i] = block[i mod r, o mod width]; the width is `out`, or `mini_r` with `mini`. */
function shared({ in: inputs, out, path }: TargetLayer, settings: TunerSettings, r: number): AdapterLayer {
  const { init_weights: init } = settings;
  if (![true, false, 'mini'].includes(init as boolean))
    throw wrong(settings, 'init_weights', 'true, false, "mini" or "bat"');
  const width = init === 'mini' ? whole(settings, 'mini_r') : out;
  if (out % width !== 0) throw wrong(settings, 'mini_r', `a divisor of ${out}, the outputs of "${path}"`);
  const times = Math.ceil(inputs / r);
  return {
    tensors: { miss_block: init === false ? kaiming([r, width]) : zeros([r, width]) },
    dropout: dropoutOf(settings, 'miss_dropout'),
    factors: (g, { miss_block: block }) => {
      const turned = g.Reshape(g.Transpose(block!, [1, 0]), [1, width, r]);
      const again = g.Reshape(g.Expand(g.Unsqueeze(identity(g, r), [1]), [r, times, r]), [r, times * r]);
      return {
        A: times * r === inputs ? again : g.Slice(again, [0], [inputs], [1]),
        B: g.Reshape(width === out ? turned : g.Expand(turned, [out / width, width, r]), [out, r]),
      };
    },
  };
}

/** ΔW = W·block + block on each r × r square of W, a block per r outputs. */
function bat({ in: inputs, out, path }: TargetLayer, settings: TunerSettings, r: number): AdapterLayer {
  if (inputs % r !== 0 || out % r !== 0) throw wrong(settings, 'r', `a divisor of the ${inputs} inputs and ${out} outputs of "${path}"`); // prettier-ignore
  if (settings['miss_dropout'] !== 0) throw wrong(settings, 'miss_dropout', '0 with "bat", which PEFT trains without');
  const delta: ChangeOfWeight['delta'] = (g: GraphBuilder, { miss_block: block }, weight) => {
    const squares = (of: Value): Value => g.Transpose(g.Reshape(of, [out / r, r, inputs / r, r]), [2, 0, 1, 3]);
    const change = g.Add(g.MatMul(squares(weight()), block!), block!);
    return g.Reshape(g.Transpose(change, [1, 2, 0, 3]), [out, inputs]);
  };
  return { tensors: { miss_block: zeros([out / r, r, r]) }, linearIn: ['miss_block'], readsWeight: true, delta };
}
