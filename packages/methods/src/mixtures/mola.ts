/** @file MoLA: several LoRAs per layer, and a router that gives each token or example to the best of them. */

import type { TargetLayer, Tuner, TunerSettings } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { expertTensors, imbalance, mixed, topGates } from './experts.ts';
import { finite, whole, wrong } from '../tuners/settings.ts';
import { normal } from '../tuners/tensors.ts';

export const mola: Tuner = {
  name: 'mola',
  peftType: 'MOLA',
  paper: 'https://arxiv.org/abs/2402.08562',
  description: 'MoLA: several LoRAs for each layer, and a router that takes the best of them for each token or example',
  defaults: {
    // A number, or several, spread over the layers by depth.
    experts: 4,
    r: 8,
    lora_alpha: 16,
    top_k: 2,
    route_by: 'token',
    router_init: 0.02,
    router_aux_loss_coef: 0.001,
    train_experts: true,
  },
  tune: (layer, settings, layers) => {
    const weight = finite(settings, 'router_aux_loss_coef');
    const sizes = { experts: expertsOf(layer, settings, layers), r: whole(settings, 'r') };
    const k = whole(settings, 'top_k');
    const isByExample = byExample(settings);
    const { A, B } = expertTensors(sizes, layer);
    const role = settings['train_experts'] === false ? 'frozen' : 'trained';
    return {
      tensors: {
        mola_A: { ...A, role },
        mola_B: { ...B, role },
        mola_router: normal([sizes.experts, layer.in], finite(settings, 'router_init')),
      },
      apply: (g, { x, forward, addLoss }, { mola_A, mola_B, mola_router }) => {
        const seen = isByExample ? meanOfExample(g, x) : x;
        const scores = g.MatMul(seen, g.Transpose(mola_router!, [1, 0]));
        if (weight !== 0) addLoss(() => g.Mul(imbalance(g, scores, Math.min(k, sizes.experts), sizes.experts), weight));
        const gates = topGates(g, scores, k, sizes.experts);
        const change = mixed(g, x, { A: mola_A!, B: mola_B! }, gates, sizes);
        return g.Add(forward(x), g.Mul(change, finite(settings, 'lora_alpha') / sizes.r));
      },
    };
  },
};

/** Mean over all axes but the batch and the features, kept as dimensions of 1. */
function meanOfExample(g: GraphBuilder, x: Value): Value {
  const axes = Array.from({ length: Math.max(0, x.shape!.length - 2) }, (_, i) => i + 1);
  return axes.length === 0 ? x : g.ReduceMean(x, axes, true);
}

function byExample({ route_by: by }: TunerSettings): boolean {
  if (by === 'token' || by === 'example') return by === 'example';
  throw wrong({ route_by: by }, 'route_by', '"token" or "example"');
}

/** The layer's number of experts: the one number, or the one for its depth. */
function expertsOf(layer: TargetLayer, { experts }: TunerSettings, layers: readonly TargetLayer[]): number {
  const counts = Array.isArray(experts) ? (experts as unknown[]) : [experts];
  const at = Math.floor((layers.findIndex(({ path }) => path === layer.path) * counts.length) / layers.length);
  return whole({ experts: counts[at] }, 'experts');
}
