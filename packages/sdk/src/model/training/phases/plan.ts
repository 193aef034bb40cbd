/** @file The second phase of a training: plans the adapter, finds its first values, and holds the run against its checkpoint. */

import { createHash } from 'node:crypto';
import type { Adapter } from '../../../adapter/adapter.ts';
import { OnnxLoraError } from '../../../errors.ts';
import type { AdapterPlan } from '../../../lora/methods/tuning.ts';
import { hookedTunings } from '../../../lora/methods/trainingHooks.ts';
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

/** The adapter and the identity of a run. */
export interface Planned {
  readonly initial: Initialised & Partial<Continued>;
  /** Whether the adapter begins with what quantisation lost of the base. */
  readonly hasLost: boolean;
  /** The digest of the base's weights. */
  readonly base: string;
  readonly groups: readonly ParameterGroup[];
  readonly identity: RunIdentity;
  /** What the checkpoint holds of the run. */
  readonly state: RunState | undefined;
  /** Settings that are others than at the checkpoint. */
  readonly changes: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Plans a run.
 *
 * @throws OnnxLoraError as `train`
 */
export async function plan(prepared: Prepared): Promise<Planned> {
  const { options, data, shaped, early, begun, from, session, order, batchSize, steps, evaluateEvery } = prepared;
  const { headModules, options: { lora, seed, task } } = prepared; // prettier-ignore
  const continued = begun && (await continueFrom(shaped, begun, headModules));
  // Nothing has changed since targets were checked, where the task has neither a head nor sizes of its own.
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

/** The options with the new head among the modules that are trained in full. */
function withHead(lora: LoraOptions = {}, modules: readonly string[]): LoraOptions {
  if (modules.length === 0) return lora;
  const saved = lora.modulesToSave ?? [];
  const isSaved = (path: string): boolean => saved.some((name) => path === name || path.endsWith(`.${name}`));
  return { ...lora, modulesToSave: [...saved, ...modules.filter((path) => !isSaved(path))] };
}

/** The warning for an adapter whose head cannot be trained on. */
function newHeadOf({ notes: { labels } }: Adapter, modules: readonly string[]): string {
  const had = labels ? `${labels.slice(0, 5).join(', ')}${labels.length > 5 ? ', …' : ''}` : 'others, or none';
  return `The labels are not those of the adapter that the run begins with (${had}): ${modules.join(', ')} begins anew.`;
}

/** A digest of first values that the graph holds as constants, or begins with, so that a run that goes on has the same. */
function digestOf({ plan }: Initialised): string {
  const hash = createHash('sha256');
  for (const { path, start } of plan) if (start) hash.update(path).update(start.lora_A).update(start.lora_B);
  return hash.digest('hex');
}

/** @throws OnnxLoraError `CONFIG_INVALID` for an adapter that is frozen as a whole */
function requireTrained({ plan, config }: Initialised): void {
  if (plan.some((tuning) => tuning.trained().length > 0)) return;
  throw new OnnxLoraError('CONFIG_INVALID', `The adapter has nothing to train: all that its ${config.peftType} has is frozen. Train another tuner, or a head beside it (modulesToSave).`); // prettier-ignore
}

/** @throws OnnxLoraError `DATA_INVALID` for a tuner that looks at held-out examples where there are none */
function requireHeldOut(plan: AdapterPlan, { validation }: PreparedTask): void {
  const reviewer = hookedTunings(plan).find(({ hooks }) => 'review' in hooks);
  if (!reviewer || (validation && validation.length > 0)) return;
  throw new OnnxLoraError('DATA_INVALID', `The task holds no data out, and the tuner "${reviewer.name}" goes by them. Hold data out (for images, validation: 0.2), or take another tuner.`); // prettier-ignore
}
