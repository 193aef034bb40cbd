/** @file Chooses the output and the pooling of sequence vectors, by the user or the model's files. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { readSentenceModules, readSentencePooling } from '@onnx-lora/sdk/data';
import { type Feature, featureOf, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { SequenceNames } from '../sequenceInput.ts';
import type { FeatureOptions, SequencePooling, TokenPooling } from './tokenStates.ts';

/** How the vector of a sequence is made. */
export interface Vectors {
  /** The value that it is made of. */
  readonly feature: Feature;
  /** How it is made of the feature, where that has a vector for each token. */
  readonly pool: TokenPooling;
  /** Whether it is divided by its length. */
  readonly isNormalized: boolean;
  /** What the vectors of single tokens are: states of tokens, or the feature where the model gives no states. */
  readonly states: Feature;
}

/** What is asked for. */
export interface VectorOptions extends Pick<FeatureOptions, 'output'> {
  /** As {@link FeatureOptions} has it; `residues` takes the states of tokens as they are. */
  readonly pool?: SequencePooling | 'residues' | undefined;
  /** Whether vectors are divided by their lengths. */
  readonly normalize?: boolean | undefined;
}

/** The pooled output of sentence-transformers' graphs. */
const SENTENCE = 'sentence_embedding';
/** Outputs with token states, best first. */
const STATES = ['last_hidden_state', 'token_embeddings', 'hidden_states'] as const;
const pools = { mean: 'all', max: 'max', cls: 'first' } as const;

/**
 * The output that is named; else the last hidden states; else, of a model that answers with scores, what its head reads.
 * @throws OnnxLoraError as `featureOf`
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
 * How the vector of a sequence is made. An output or a pool that is named counts alone. Where neither is, the vector is that of
 * sentence-transformers: the graph's `sentence_embedding`, or the states pooled as `modules.json` says. Of other models it is the
 * domain's mean of {@link sequenceFeature}.
 * @throws OnnxLoraError as `featureOf` and `readSentencePooling`; `CONFIG_INVALID` where no normalisation is asked for and the
 *   graph normalises
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
