/** @file Modules as passed to optimizers that combine tensors or freeze some. */

import { OnnxLoraError } from '../errors.ts';
import type { AdapterPlan, ModuleAdapter } from '../lora/methods/moduleAdapter.ts';
import type { StepTensor } from '../lora/tuner.ts';
import type { OptimizedModule, Optimizer } from './optimizers/optimizer.ts';
import type { ParameterSet } from './parameters.ts';

/** Freezes tensors as the optimizer asks. @throws OnnxLoraError `CONFIG_INVALID` or `PLUGIN_INVALID` if it cannot */
export function freezeAsOptimizerAsks(plan: AdapterPlan, optimizer: Optimizer): AdapterPlan {
  if (!optimizer.leaves) return plan;
  const modules = plan.map((tuning) => {
    const counts = tuning.trained().map(({ role, count }) => [role, count] as const);
    return { ...about(tuning), tensors: Object.fromEntries(counts) };
  });
  const left = optimizer.leaves(modules);
  return plan.map((tuning) => {
    const roles = left.get(tuning.path) ?? [];
    if (roles.length === 0) return tuning;
    if (tuning.leaving) return tuning.leaving(roles);
    throw new OnnxLoraError(
      'PLUGIN_INVALID',
      `The optimizer ${optimizer.name} leaves ${roles.join(', ')} of "${tuning.path}", and only tensors of LoRA can be left. Take another optimizer.`,
    );
  });
}

/** The modules at a step, each with all its tensors. */
export function optimizedModules(
  parameters: ParameterSet,
  gradients: ReadonlyMap<string, Float32Array>,
): OptimizedModule<StepTensor>[] {
  const tensors = new Map<ModuleAdapter, Record<string, StepTensor>>();
  for (const { input, dims, value } of [...parameters.all, ...parameters.buffers]) {
    const gradient = gradients.get(input.name);
    const own = tensors.get(input.tuning) ?? {};
    own[input.tensor.role] = { dims, value, ...(gradient ? { gradient } : {}) };
    tensors.set(input.tuning, own);
  }
  return [...tensors].map(([tuning, own]) => ({ ...about(tuning), tensors: own }));
}

function about(tuning: ModuleAdapter): Pick<OptimizedModule<never>, 'path' | 'kind' | 'scaling'> {
  return {
    path: tuning.path,
    ...(tuning.site && !tuning.site.recurrent ? { kind: tuning.site.kind } : {}),
    ...(tuning.scaling === undefined ? {} : { scaling: tuning.scaling }),
  };
}
