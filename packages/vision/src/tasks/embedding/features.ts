/** @file Which value of a graph is an image's feature, and how one vector is made of it. */

import type { Tensor } from '@onnx-lora/sdk';
import {
  featureOf,
  type GraphBuilder,
  pooledRows,
  pooledValue,
  type PoolOptions,
  type TaskModel,
  type Value,
} from '@onnx-lora/sdk/tasks';
import { imagePort, type ImagePort } from '../imagePort.ts';
import { type ImageReading, type OpenedImages, openImages } from '../imageReading.ts';

/** What is made of several vectors per image: of tokens the class token or the mean, of a map the mean, or GeM of either. */
export type Pooling = 'cls' | 'mean' | 'gem';

/** Options of every use of features. */
export interface FeatureOptions {
  /**
   * The graph output that is the feature; `before-head` is what the head of a classifier reads. By default the first that
   * there is: `image_embeds`, `pooler_output`, `last_hidden_state`, another output that is no score, `before-head`.
   */
  readonly output?: string | undefined;
  /** By default the class token, where the model has one, or else the mean. */
  readonly pooling?: Pooling | undefined;
}

/** Where features come from. */
export interface Features {
  readonly input: ImagePort;
  /** Name of the value: `[batch, width]`, `[batch, tokens, width]` or `[batch, width, height, width]`. */
  readonly output: string;
  /** The value, where it is none of the graph's outputs and must become one. */
  readonly inner: readonly string[];
  readonly pooling: Pooling;
  /** Tokens in front that are no patches of the image: the class token and registers. */
  readonly extraTokens: number;
}

/** Models of transformers whose first token stands for the whole image. */
const withClassToken: ReadonlySet<string> = new Set([
  'vit', 'deit', 'beit', 'vit_mae', 'vit_msn', 'dinov2', 'dinov2_with_registers', 'dinov3_vit', 'clip', 'clip_vision_model',
  'ijepa', 'data2vec-vision', 'flava',
]); // prettier-ignore
/** Of these, those whose `pooler_output` is a layer that published weights have not trained, or that was trained for text. */
const withoutPooler: ReadonlySet<string> = new Set(['vit', 'deit', 'vit_mae', 'vit_msn']);
/** Outputs that are answers to a question, not features. */
const answers: ReadonlySet<string> = new Set([
  'logits', 'logits_per_image', 'logits_per_text', 'text_embeds', 'pred_boxes', 'image_positional_embeddings', 'probabilities',
  'scores',
]); // prettier-ignore

/**
 * Chooses the feature of a model.
 *
 * @throws OnnxLoraError as `featureOf`
 */
export function featuresOf(model: TaskModel, { output: named, pooling }: FeatureOptions = {}): Features {
  const input = imagePort(model);
  const type = modelType(model);
  const names = Object.keys(model.outputs);
  const { output, inner, port } = featureOf(model, named, {
    noun: 'images',
    shapes: ['[batch, width]', '[batch, tokens, width]', '[batch, width, height, width]'],
    usual: [
      ...(type !== undefined && withoutPooler.has(type)
        ? ['image_embeds', 'last_hidden_state', 'pooler_output']
        : ['image_embeds', 'pooler_output', 'last_hidden_state']),
      // A layer gives a classifier's scores, whatever they are called.
      ...names.filter((name) => model.outputs[name]?.dims?.length !== 2 || model.headInput?.(name) === undefined),
    ],
    isAnswer: (name) => answers.has(name),
    beforeHead: () => {
      const heads = [...names.filter((name) => answers.has(name)), ...names];
      return heads.map((name) => model.headInput?.(name)).find((head) => head !== undefined);
    },
  });
  const classToken = type !== undefined && withClassToken.has(type);
  const registers = model.config?.['num_register_tokens'];
  const isTokens = output === 'last_hidden_state' || (inner.length === 0 && port.dims?.length === 3);
  return {
    input,
    output,
    inner,
    pooling: pooling ?? (classToken && isTokens ? 'cls' : 'mean'),
    extraTokens: classToken ? 1 + (typeof registers === 'number' ? registers : 0) : 0,
  };
}

/**
 * The feature of a model, and what makes its images.
 *
 * @throws OnnxLoraError as {@link featuresOf} and {@link openImages}
 */
export async function openFeatures(
  model: TaskModel,
  options: FeatureOptions & ImageReading,
): Promise<OpenedImages & { readonly features: Features }> {
  const features = featuresOf(model, options);
  return { features, ...(await openImages(model, features.input.name, options)) };
}

/**
 * Float32 `[batch, width]` of what the model gives for a batch of images.
 *
 * @throws OnnxLoraError as `pooledRows`
 */
export function imageRows(outputs: Readonly<Record<string, Tensor>>, features: Features): Tensor {
  return pooledRows(outputs, features.output, poolingOf(features));
}

/** The same as a graph fragment, for losses. */
export function imageValue(g: GraphBuilder, outputs: Readonly<Record<string, Value>>, features: Features): Value {
  return pooledValue(g, outputs[features.output]!, poolingOf(features));
}

function poolingOf({ pooling, extraTokens }: Features): PoolOptions {
  const places = (_: number, count: number): readonly [number, number] =>
    pooling === 'cls' ? [0, 1] : [count > extraTokens ? extraTokens : 0, count];
  return { places, kind: pooling === 'gem' ? 'gem' : 'mean' };
}

/** `model_type` of config.json, where it is a text. */
function modelType({ config }: TaskModel): string | undefined {
  const type = config?.['model_type'];
  return typeof type === 'string' ? type : undefined;
}

/** Whether the model was trained as SigLIP: pairs are questions of their own, and texts are filled up to one length. */
export function isSiglip(model: TaskModel): boolean {
  return modelType(model)?.startsWith('siglip') ?? false;
}
