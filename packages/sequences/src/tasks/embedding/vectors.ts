/** @file Chooses the output and the pooling of sequence vectors, by the user or the model's files. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { readSentenceModules, readSentencePooling } from '@onnx-lora/sdk/data';
import { type Feature, featureOf, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { SequenceNames } from '../sequenceInput.ts';
import type { FeatureOptions, SequencePooling, TokenPooling } from './tokenStates.ts';

/** Feature and pooling of sequence vectors. */
export interface Vectors {
  /** The feature to pool. */
  readonly feature: Feature;
  /** Pooling, for a feature with a vector per token. */
  readonly pool: TokenPooling;
  /** Whether vectors are scaled to length 1. */
  readonly isNormalized: boolean;
  /** Source of token vectors: token states, or the feature of a model without them. */
  readonly states: Feature;
}

/** Options of {@link openVectors}. */
export interface VectorOptions extends Pick<FeatureOptions, 'output'> {
  /** Pooling as in {@link FeatureOptions}; `residues` keeps the token states. */
  readonly pool?: SequencePooling | 'residues' | undefined;
  /** Scales vectors to length 1. */
  readonly normalize?: boolean | undefined;
}

const SENTENCE = 'sentence_embedding';
/** Outputs with token states, best first. */
const STATES = ['last_hidden_state', 'token_embeddings', 'hidden_states'] as const;
const pools = { mean: 'all', max: 'max', cls: 'first' } as const;

/**
 * The named output; by default the last hidden states, or the head's input of a model with scores.
 * @throws OnnxLoraError like `featureOf`
 */
export function sequenceFeature(model: TaskModel, noun: string, named?: string): Feature {
  return featureOf(model, named, {
    noun,
    shapes: ['[batch, width]', '[batch, tokens, width]'],
    usual: STATES,
    beforeHead: () => ('logits' in model.outputs ? model.featuresOf?.('logits') : undefined),
  });
}

/**
 * Chooses feature and pooling. A given output or pool overrides the model's files. Without either, vectors are those of
 * sentence-transformers: the graph's `sentence_embedding`, or states pooled as in `modules.json`. Other models get the
 * domain's mean of {@link sequenceFeature}.
 * @throws OnnxLoraError like `featureOf`, `readSentencePooling`; `CONFIG_INVALID` for `normalize: false` of a
 * normalised output
 */
export async function openVectors(
  model: TaskModel,
  { noun, meanOf = 'own' }: Pick<SequenceNames, 'noun' | 'meanOf'>,
  { output, pool, normalize }: VectorOptions,
): Promise<Vectors> {
  const mean = meanOf === 'all' ? 'all' : 'mean';
  if (output === undefined && pool === undefined) {
    const { folder } = model;
    const port = model.outputs[SENTENCE];
    if (port?.type === 'float32') {
      const isNormalized = folder !== undefined && (await readSentenceModules(folder))?.at(-1)?.type === 'Normalize';
      if (normalize === false && isNormalized) throw isUnit(model);
      const feature = { output: SENTENCE, inner: [], port: { ...port, dims: port.dims ?? ['batch', 'width'] } };
      const named = STATES.find((name) => model.outputs[name]);
      const states = named === undefined ? feature : sequenceFeature(model, noun, named);
      return { feature, pool: mean, isNormalized: normalize ?? isNormalized, states };
    }
    const said = folder === undefined ? undefined : await readSentencePooling(folder, 'Name the pool that is to be taken, mean or first.'); // prettier-ignore
    if (said) {
      const feature = sequenceFeature(model, noun);
      return { feature, pool: pools[said.mode], isNormalized: normalize ?? said.isNormalized, states: feature };
    }
  }
  const feature = sequenceFeature(model, noun, output);
  return { feature, pool: pool === 'first' ? pool : mean, isNormalized: normalize ?? false, states: feature };
}

function isUnit({ name }: TaskModel): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `The output "${SENTENCE}" of "${name}" has the length 1, as its modules.json says, and normalize is false. Leave normalize out, or name the pool that is to be taken, mean or first.`,
  );
}
