/** @file The precision of a frozen base: on this machine, in sessions with adapters, and in training. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { ModelGraph } from '../graph/modelGraph.ts';
import { occurrencesOf } from '../../match/site.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import {
  type BasePrecision,
  type WeightPrecision,
  type PrecisionChoice,
  isProductPrecision,
  type PrecisionName,
  precisionNames,
  sessionIn,
} from '../../ops/precision/precision.ts';
import type { Runtime, SessionOptions } from '../../runtime/session.ts';
import { comparisonOf } from '../../train/graph/comparingLoss.ts';
import type { MeasuredPrecision } from '../../train/step/measuredPrecision.ts';
import { measurePrecision } from '../../train/step/measurePrecision.ts';
import type { GradientStepRequest } from '../../train/step/stepRequest.ts';
import type { Batch } from '../../plugin/dataset.ts';
import { requireHalf, measureSaturation } from './machineArithmetic.ts';

/** A precision with its options; undefined for float32. */
export type RequestedPrecision = Exclude<PrecisionChoice, string>;

/** @throws OnnxLoraError `CONFIG_INVALID` for an unknown name */
export function requestedPrecision(asked: PrecisionChoice = 'float32'): RequestedPrecision | undefined {
  const given = typeof asked === 'string' ? ({ name: asked } as RequestedPrecision) : asked;
  const { name } = given;
  if (!precisionNames.includes(name)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no precision "${name}".${didYouMean(name, precisionNames)} There are ${precisionNames.join(', ')}.`,
    );
  }
  return asked === 'float32' ? undefined : given;
}

/** Completes a precision with this machine's facts. */
export async function precisionOnMachine(
  given: Exclude<RequestedPrecision, WeightPrecision>,
  runtime: Runtime,
): Promise<BasePrecision> {
  if (given.name === 'float16' || given.name === 'bfloat16') return given;
  return { ...given, saturates: given.saturates ?? (await measureSaturation(runtime)) };
}

/**
 * Session options for a precision, after checking support.
 * @throws OnnxLoraError `CONFIG_INVALID` if the precision excludes the provider; `PROVIDER_UNAVAILABLE` if it does not
 *   work on this machine
 */
export async function sessionOnMachine<Options extends Pick<SessionOptions, 'provider' | 'arithmetic'>>(
  precision: BasePrecision | undefined,
  options: Options,
  runtime: Runtime,
): Promise<Options> {
  const here = sessionIn(precision, options);
  if (precision?.name === 'float16') await requireHalf(runtime, here.provider!);
  return here;
}

/** The model's precision in its graph's terms, without the products that these adapters' training kept in float32. */
export function servingPrecision(
  model: Pick<ModelGraph, 'precision' | 'sites'>,
  adapters: readonly Adapter[],
): BasePrecision | undefined {
  const exact = adapters.flatMap(({ notes }) => notes.precision?.inFloat32 ?? []);
  const { precision } = model;
  return precision && ofWeights({ ...precision, inFloat32: [...(precision.inFloat32 ?? []), ...exact] }, model);
}

/** Notes name float32 products by module (`forward encoder.layer.0.attention.query`), graphs by weight. */
function ofWeights(precision: BasePrecision, model: Pick<ModelGraph, 'sites'>): BasePrecision {
  const all = modulesOfWeights(model);
  return renamed(precision, (name) => {
    const weights = all.flatMap(([weight, module]) => (module === name ? [weight] : []));
    return weights.length > 0 ? weights : [name];
  });
}

function ofModules(precision: BasePrecision, model: Pick<ModelGraph, 'sites'>): BasePrecision {
  const modules = new Map(modulesOfWeights(model));
  return renamed(precision, (weight) => [modules.get(weight) ?? weight]);
}

function renamed(
  { inFloat32 = [], ...rest }: BasePrecision,
  names: (name: string) => readonly string[],
): BasePrecision {
  const found = inFloat32.flatMap((each) => {
    const [direction, ...name] = each.split(' ');
    return names(name.join(' ')).map((other) => `${direction} ${other}`);
  });
  return { ...rest, inFloat32: [...new Set(found)] };
}

/** For a weight with several modules, such as a head tied to an embedding, the first linear one. */
function modulesOfWeights(model: Pick<ModelGraph, 'sites'>): readonly (readonly [weight: string, module: string])[] {
  const pairs = model
    .sites()
    .toSorted((a, b) => Number(a.kind !== 'linear') - Number(b.kind !== 'linear'))
    .flatMap((site) => occurrencesOf(site).map(({ weight }) => [weight.stored.tensors[0].name, site.path] as const));
  return [...new Map(pairs.toReversed())];
}

/** Warns of adapters trained in another precision; undefined if there are none. */
export function otherPrecision(
  precision: BasePrecision | undefined,
  adapters: Readonly<Record<string, Adapter>>,
): string | undefined {
  const own = answersIn(precision);
  const others = Object.entries(adapters).filter(([, { notes }]) => answersIn(notes.precision) !== own);
  if (others.length === 0) return undefined;
  const [[name, { notes }]] = others as [[string, Adapter]];
  const more = others.length > 1 ? ` and ${others.length - 1} more` : '';
  const theirs = answersIn(notes.precision);
  return `"${name}"${more} learned on a base in ${theirs}, and the model computes in ${own}: answers differ a little. Open the model with precision "${theirs}" to have them as they were measured.`;
}

/** Integer gradients do not change answers. */
function answersIn(precision: BasePrecision | undefined): PrecisionName {
  return precision === undefined || precision.name === 'int8-backward' ? 'float32' : precision.name;
}

/** The precision of a run, with warnings. */
export interface RunPrecision {
  /** For the training graph. */
  readonly precision?: BasePrecision | undefined;
  /** For the adapter's notes. */
  readonly noted?: BasePrecision | undefined;
  readonly lossScale?: number | undefined;
  readonly warnings: readonly string[];
}

/** Number of examples to measure on if the loss compares examples, so a batch cannot be cut. */
const COMPARED = 4;

/**
 * Measures the products on the run's first batch.
 * @param model with the requested precision
 * @param before of the resumed run
 * @throws OnnxLoraError as `Trainer.compile`
 */
export async function runPrecision(
  request: GradientStepRequest,
  model: Pick<ModelGraph, 'precision' | 'sites'>,
  before: BasePrecision | undefined,
  batch: Batch & { beginning(count: number): Promise<Batch> },
): Promise<RunPrecision> {
  const known = before ?? model.precision;
  if (known && !isProductPrecision(known)) return { noted: known, warnings: [] };
  if (!known || known.inFloat32) return { precision: known && ofWeights(known, model), noted: known, warnings: [] };
  const few = comparisonOf(request.loss) ? await batch.beginning(COMPARED) : batch;
  const measured = await measurePrecision({ ...request, precision: known }, batch, few);
  const { precision, lossScale } = measured;
  return { precision, noted: ofModules(precision, model), lossScale, warnings: keptInFloat32(measured) };
}

const SHOWN = 8;

function keptInFloat32({ precision, products, forGradients, cosine }: MeasuredPrecision): readonly string[] {
  const exact = new Set(precision.inFloat32);
  const others = new Set(forGradients);
  const kept = products.filter(({ name }) => exact.has(name));
  if (kept.length === 0) return [];
  const tooFar = kept.filter(({ name }) => !others.has(name));
  const shown = tooFar
    .toSorted((a, b) => b.error - a.error)
    .slice(0, SHOWN)
    .map(
      (each) =>
        `${each.module} ${each.name.startsWith('backward') ? '(gradient) ' : ''}${each.error === Infinity ? 'overflow' : `${(100 * each.error).toFixed(0)}%`}`,
    );
  const more = tooFar.length > SHOWN ? ` and ${tooFar.length - SHOWN} more` : '';
  const rest = kept.length - tooFar.length;
  const sentences = [
    `${kept.length} of ${products.length} products in precision "${precision.name}" stay in float32.`,
    tooFar.length > 0 && `Rounding changes ${tooFar.length} too much on the first batch: ${shown.join(', ')}${more}.`,
    rest > 0 && `${tooFar.length === 0 ? 'They' : rest} are needed for the loss to be within 2% of that in float32, and for every gradient to have a cosine of 0.995 with it (now ${cosine.toFixed(4)}).`,
    kept.length === products.length && 'So it changes nothing for this model: leave it out.',
  ]; // prettier-ignore
  return [sentences.filter((each) => each !== false).join(' ')];
}
