/** @file (IA)³: a factor per output of a layer, or per input of a feed-forward layer. */

import { type ChangeOfLayer, type TargetLayer, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';

/** Whether the layer scales its inputs: PEFT's `feedforward_modules`. */
function isFeedforward({ path }: Pick<TargetLayer, 'path'>, { feedforward_modules: names }: TunerSettings): boolean {
  if (typeof names === 'string') return new RegExp(`^(?:${names})$`).test(path);
  return ((names ?? []) as readonly string[]).some((name) => path.endsWith(name));
}

export const ia3: Tuner = {
  name: 'ia3',
  peftType: 'IA3',
  paper: 'https://arxiv.org/abs/2205.05638',
  description: '(IA)³: trains a factor for each output of a layer, or for each input of a feed-forward layer',
  kinds: ['linear', 'conv2d', 'conv3d'],
  defaults: { exclude_modules: null, feedforward_modules: [], fan_in_fan_out: false, init_ia3_weights: true },
  // PEFT requires feedforward_modules to be among target_modules.
  saved: (settings, targets) => ({
    ...settings,
    feedforward_modules: targets.filter((path) => isFeedforward({ path }, settings)),
  }),
  tune: (layer, settings) => {
    const scalesInputs = isFeedforward(layer, settings);
    const features = scalesInputs ? layer.in : layer.out;
    const ones = (): Float32Array => new Float32Array(features).fill(1);
    // PEFT's shapes: linear `[out, 1]` or `[1, in]`, convolution `[1, features, 1, ...]`.
    const kernel = layer.weightShape.slice(2).map(() => 1);
    const isLinear = layer.kind === 'linear';
    const onFeatures = isLinear ? [features] : [1, features, ...kernel];
    const onWeight = scalesInputs ? [1, features, ...kernel] : [features, 1, ...kernel];
    const merge = (op: 'Mul' | 'Div'): Pick<ChangeOfLayer, 'weight' | 'bias'> => ({
      weight: (g, weight, { ia3_l }) => g[op](weight, g.Reshape(ia3_l!, onWeight)),
      bias: (g, bias, { ia3_l }) => (scalesInputs ? g.Identity(bias) : g[op](bias, g.Reshape(ia3_l!, [features]))),
    });
    return {
      linearIn: ['ia3_l'],
      tensors: { ia3_l: { dims: isLinear ? onWeight : onFeatures, init: ones, identity: ones } },
      apply: (g, { x, forward }, { ia3_l }) => {
        const factors = g.Reshape(ia3_l!, onFeatures);
        return scalesInputs ? forward(g.Mul(x, factors)) : g.Mul(forward(x), factors);
      },
      ...merge('Mul'),
      unmerged: merge('Div'),
    };
  },
};
