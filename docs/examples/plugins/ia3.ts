/** @file (IA)³ as a plugin: a factor for each output of a layer, or for each input where it is a feed-forward layer's. */

import { definePlugin, type Plugin, type TunedLayer, type Tuner, type TunerSettings } from '@onnx-lora/sdk';

/** Whether the layer's inputs are scaled and not its outputs: PEFT's `feedforward_modules`. */
function isFeedforward({ path }: Pick<TunedLayer, 'path'>, { feedforward_modules: names }: TunerSettings): boolean {
  if (typeof names === 'string') return new RegExp(`^(?:${names})$`).test(path);
  return ((names ?? []) as readonly string[]).some((name) => path.endsWith(name));
}

/** @see https://arxiv.org/abs/2205.05638 */
export const ia3: Tuner = {
  name: 'ia3',
  peftType: 'IA3',
  description: '(IA)³: trains a factor for each output of a layer, or for each input of a feed-forward layer',
  defaults: { exclude_modules: null, feedforward_modules: [], fan_in_fan_out: false, init_ia3_weights: true },
  // PEFT wants feedforward_modules to be among target_modules.
  saved: (settings, targets) => ({
    ...settings,
    feedforward_modules: targets.filter((path) => isFeedforward({ path }, settings)),
  }),
  tune: (layer, settings) => {
    const scalesInputs = isFeedforward(layer, settings);
    const ones = (): Float32Array => new Float32Array(scalesInputs ? layer.in : layer.out).fill(1);
    const dims = scalesInputs ? [1, layer.in] : [layer.out, 1];
    return {
      tensors: { ia3_l: { dims, first: ones, idle: ones } },
      apply: (g, { x, forward }, { ia3_l }) => {
        const factors = g.Reshape(ia3_l!, [-1]);
        return scalesInputs ? forward(g.Mul(x, factors)) : g.Mul(forward(x), factors);
      },
      mergeWeight: ({ rows, columns, data }, { ia3_l }) => ({
        rows,
        columns,
        data: data.map((value, i) => value * ia3_l![scalesInputs ? i % columns : Math.floor(i / columns)]!),
      }),
      mergeBias: (bias, { ia3_l }) => (scalesInputs ? bias : bias.map((value, i) => value * ia3_l![i]!)),
    };
  },
};

/** What the package exports. */
export const ia3Plugin: Plugin = definePlugin({ name: 'onnx-lora-ia3', version: '1.0.0', tuners: [ia3] });
