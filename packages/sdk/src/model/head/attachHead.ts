/** @file `attachHead`: gives a model a head for other labels, or its first head. */

import type { AdapterNotes, AttachedHead } from '../../adapter/storage/adapterNotes.ts';
import { OnnxLoraError, didYouMean } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import type { Site } from '../../match/sites.ts';
import { withoutUndefined } from '../../plugin/withoutUndefined.ts';
import type { HeadValues as GivenValues, NewHead } from '../../plugin/preparedTask.ts';
import { Random } from '../../runtime/random.ts';
import { float32, sizeOf } from '../../runtime/tensor.ts';
import type { ModelGraph } from '../graph/modelGraph.ts';
import { appendHead, headWidth } from './appendHead.ts';
import { headSites } from '../graph/headSites.ts';
import { type HeadValues, replaceHeads } from './replaceHead.ts';
import { scoreValues } from './scoreValues.ts';

/** Options of {@link attachHead}. */
export interface AttachHeadOptions {
  /** Seed of the initial values; 0 by default. */
  readonly seed?: number;
  /** Initial values of an attached head, in place of random ones. */
  readonly values?: GivenValues;
}

const requireKnown = knownOptions<AttachHeadOptions>('attachHead', { seed: true, values: true });

/** A model with a new head. */
export interface HeadedModel<M> {
  /** The model with its head. */
  readonly model: M;
  /** Paths of the head's modules, for `modulesToSave`. */
  readonly modules: readonly string[];
}

/**
 * Adds a new, untrained head. Without `attach`, the layers that compute `head.output` are resized to the number of
 * labels. With `attach`, a new layer `classifier` (`lm_head` for a score per token) follows `head.output` or replaces
 * its head, with output `logits`. Initialised as in transformers: normal weights with deviation `initializer_range`
 * (0.02), zero biases. `train` calls it if the task needs it; the base's digest stays the same.
 * @example
 * const { model, modules } = attachHead(dinov2, { output: 'last_hidden_state', labels: ['cat', 'dog'], attach: { pool: 'first' } });
 * await train(model, { task, lora: { modulesToSave: modules } });
 * @see transformers, `_init_weights` of ViTPreTrainedModel and others, with `ignore_mismatched_sizes=True`
 * @throws OnnxLoraError `CONFIG_INVALID` for missing or duplicate labels, and an unknown option; `MODEL_UNSUPPORTED` if
 *   no layer computes the output, or the graph hardcodes its number of labels
 */
export function attachHead<M extends ModelGraph>(
  model: M,
  head: NewHead,
  options: AttachHeadOptions = {},
): HeadedModel<M> {
  requireKnown(options);
  const { seed = 0, values: given } = options;
  const { labels, attach } = head;
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  if (labels.length === 0 || twice !== undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      labels.length === 0
        ? 'A head needs labels, one per output. Name them.'
        : `Labels of a head must differ, but "${twice}" occurs twice. Rename one.`,
    );
  }
  const random = new Random(seed);
  const range = model.config?.['initializer_range'];
  const deviation = typeof range === 'number' && range > 0 ? range : 0.02;
  const initial = (rest: readonly number[]): HeadValues => {
    const dims = [labels.length, ...rest];
    return {
      weight: float32(given?.weight ?? Float32Array.from({ length: sizeOf(dims) }, () => deviation * random.normal()), dims), // prettier-ignore
      bias: float32(given?.bias ?? new Float32Array(labels.length), [labels.length]),
    };
  };
  if (!Object.hasOwn(model.outputs, head.output)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" has no output "${head.output}".${didYouMean(head.output, Object.keys(model.outputs))} Its outputs are ${Object.keys(model.outputs).join(', ')}.`,
    );
  }
  if (attach) {
    const place: AttachedHead = {
      // transformers' name of a layer that scores every frame or token.
      module: attach.module ?? (attach.pool === 'each' ? 'lm_head' : 'classifier'),
      output: head.output,
      pool: attach.pool,
      skip: attach.skip ?? 0,
      ...withoutUndefined({ mask: attach.mask, inPlaceOf: attach.inPlaceOf }),
    };
    const width = headWidth(model, place);
    return { model: withAttached(model, place, initial([width]), { labels }), modules: [place.module] };
  }
  const headsOf = (output: string): readonly Site[] => headSites(model.onnx.model.graph, model.sites(), output);
  const first = headsOf(head.output);
  const heads = [...new Set([...first, ...(head.alsoOutput === undefined ? [] : headsOf(head.alsoOutput))])];
  if (first.length === 0) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `No single layer of "${model.name}" gives the output "${head.output}", so there is no head to exchange for one of ${labels.length} outputs. Export the model with a linear head, or attach one to its features (attach).`,
    );
  }
  const values = new Map(heads.map((site) => [site, initial(site.weightShape.slice(1))]));
  return { model: withReplaced(model, values, { labels }), modules: heads.map(({ path }) => path) };
}

/** The model with a head on its features. */
export function withAttached<M extends ModelGraph>(
  model: M,
  head: AttachedHead,
  values: HeadValues,
  notes: AdapterNotes,
): M {
  return model.derived({
    model: appendHead(model, head, values),
    config: withLabels(model.config, notes.labels),
    notes: { ...notes, head },
  });
}

/** The model with its own heads replaced. */
export function withReplaced<M extends ModelGraph>(
  model: M,
  values: ReadonlyMap<Site, HeadValues>,
  notes: AdapterNotes,
): M {
  const scores = scoreValues(model, [...values.keys()]);
  const graph = replaceHeads(model.onnx.model, values, { scores, types: model.types() });
  return model.derived({ model: graph, config: withLabels(model.config, notes.labels), notes });
}

/** A `config.json` with these labels; without labels, the old ones are removed. */
export function withLabels(
  config: Readonly<Record<string, unknown>> | undefined,
  labels: readonly string[] | undefined,
): Readonly<Record<string, unknown>> {
  const { id2label: _i, label2id: _l, num_labels: _n, ...rest } = config ?? {};
  if (!labels) return rest;
  return {
    ...rest,
    id2label: Object.fromEntries(labels.map((label, id) => [String(id), label])),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
  };
}
