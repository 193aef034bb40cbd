/** @file Phase 2 of training: plans and initialises the adapter, and compares the run with its checkpoint. */

import { sha256 } from '../../../platform/hash.ts';
import type { Adapter } from '../../../adapter/adapter.ts';
import { OnnxLoraError } from '../../../errors.ts';
import type { AdapterPlan } from '../../../lora/methods/moduleAdapter.ts';
import { hookedModules } from '../../../lora/methods/trainingHooks.ts';
import type { PreparedTask } from '../../../plugin/preparedTask.ts';
import type { ParameterGroup } from '../../../train/groups.ts';
import { type Continued, continueFrom } from '../../initial/continueFrom.ts';
import { initialise, type Initialised } from '../../initial/initialise.ts';
import type { LoraOptions } from '../../planning/loraOptions.ts';
import { planAdapter } from '../../planning/planAdapter.ts';
import type { RunIdentity } from '../checkpoints/checkpoint.ts';
import { identityOf, requireSameRun } from '../checkpoints/resume.ts';
import { parseRunState, type RunState } from '../checkpoints/runState.ts';
import { groupsOf } from '../options/checked.ts';
import { digestOfOrder } from '../options/sampling.ts';
import type { Prepared } from './prepare.ts';

/** Result of the phase. */
export interface Planned {
  readonly initial: Initialised & Partial<Continued>;
  /** True if the adapter starts with the base's quantisation error (LoftQ). */
  readonly hasLost: boolean;
  readonly base: string;
  readonly groups: readonly ParameterGroup[];
  readonly identity: RunIdentity;
  readonly state: RunState | undefined;
  readonly changes: readonly string[];
  readonly warnings: readonly string[];
}

/** @throws OnnxLoraError as `train` */
export async function plan(prepared: Prepared): Promise<Planned> {
  const { options, data, shaped, early, begun, from, session, order, batchSize, steps, evaluateEvery } = prepared;
  const { headModules, options: { lora, seed, task } } = prepared; // prettier-ignore
  const continued = begun && (await continueFrom(shaped, begun, headModules));
  // The early plan still holds if the task added neither a head nor input sizes.
  const isSame = early?.model === shaped && headModules.length === 0;
  const planned = continued ? undefined : isSame ? early.planned : planAdapter(shaped, withHead(lora, headModules));
  const request = { model: shaped, data, session, seed, batches: options.initBatches, batchSize };
  const initial = continued ?? (await initialise({ ...request, planned: planned! }));
  requireTrained(initial);
  requireHeldOut(initial.plan, data);
  const base = await shaped.digest();
  const groups = groupsOf(options);
  const identity = identityOf(initial.config, options, {
    base,
    task: task.name,
    examples: data.train.length,
    labels: data.head?.labels ?? null,
    inputSizes: data.inputSizes,
    precision: shaped.precision?.name,
    steps,
    batchSize,
    groups,
    transformations: options.transformations?.map(({ name }) => name),
    sampling: digestOfOrder(order),
    evaluateEvery,
    firstValues: continued?.digest ?? digestOf(initial),
  });
  return {
    initial,
    hasLost: planned?.initializer?.name === 'loftq' || begun?.notes.quantizedBase?.loftq === true,
    base,
    groups,
    identity,
    changes: from ? requireSameRun(from.folder, from.identity, identity) : [],
    state: from && parseRunState(from.folder, from.state),
    warnings: [
      ...(planned?.warnings ?? []),
      ...(begun && headModules.length > 0 ? [newHeadOf(begun, headModules)] : []),
    ],
  };
}

function withHead(lora: LoraOptions = {}, modules: readonly string[]): LoraOptions {
  if (modules.length === 0) return lora;
  const saved = lora.modulesToSave ?? [];
  const isSaved = (path: string): boolean => saved.some((name) => path === name || path.endsWith(`.${name}`));
  return { ...lora, modulesToSave: [...saved, ...modules.filter((path) => !isSaved(path))] };
}

function newHeadOf({ notes: { labels } }: Adapter, modules: readonly string[]): string {
  const had = labels ? `${labels.slice(0, 5).join(', ')}${labels.length > 5 ? ', …' : ''}` : 'others, or none';
  return `The labels are not those of the adapter that the run begins with (${had}): ${modules.join(', ')} starts over.`;
}

/** Digest of the initial values that are constants or starting points, so that a resumed run has the same. */
function digestOf({ plan }: Initialised): string {
  const hash = sha256();
  for (const { path, start } of plan) if (start) hash.update(path).update(start.lora_A).update(start.lora_B);
  return hash.digest('hex');
}

/** @throws OnnxLoraError `CONFIG_INVALID` for an adapter that is frozen as a whole */
function requireTrained({ plan, config }: Initialised): void {
  if (plan.some((tuning) => tuning.trained().length > 0)) return;
  throw new OnnxLoraError('CONFIG_INVALID', `The adapter has nothing to train: all tensors of its ${config.peftType} are frozen. Train another tuner, or a head beside it (modulesToSave).`); // prettier-ignore
}

/** @throws OnnxLoraError `DATA_INVALID` if a tuner needs held-out examples and there are none */
function requireHeldOut(plan: AdapterPlan, { validation }: PreparedTask): void {
  const reviewer = hookedModules(plan).find(({ hooks }) => 'review' in hooks);
  if (!reviewer || (validation && validation.length > 0)) return;
  throw new OnnxLoraError('DATA_INVALID', `The task holds no data out, and the tuner "${reviewer.name}" goes by them. Hold data out (for images, validation: 0.2), or take another tuner.`); // prettier-ignore
}
