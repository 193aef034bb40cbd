/** @file Feature outputs of image models, and their pooling. */

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
import { imagePort, type ImagePort } from '../imagePorts.ts';
import { type ImageReading, type OpenedImages, openImages } from '../imageTask.ts';

/** Pooling of several vectors per image: the class token, the mean, or GeM, of tokens or a map. */
export type Pooling = 'cls' | 'mean' | 'gem';

/** Options of features. */
export interface FeatureOptions {
  /**
   * The output used as the feature; `before-head` is the input of a classifier's head. By default the first of
   * `image_embeds`, `pooler_output`, `last_hidden_state`, another output without scores, and `before-head`.
   */
  readonly output?: string | undefined;
  /** By default the class token if the model has one, else the mean. */
  readonly pooling?: Pooling | undefined;
}

export interface Features {
  readonly input: ImagePort;
  /** The value: `[batch, width]`, `[batch, tokens, width]` or `[batch, width, height, width]`. */
  readonly output: string;
  /** The value, if it must be added to the graph's outputs. */
  readonly inner: readonly string[];
  readonly pooling: Pooling;
  /** Leading tokens that are no patches: class token and registers. */
  readonly extraTokens: number;
}

/** transformers' models with a class token. */
const withClassToken: ReadonlySet<string> = new Set([
  'vit', 'deit', 'beit', 'vit_mae', 'vit_msn', 'dinov2', 'dinov2_with_registers', 'dinov3_vit', 'clip', 'clip_vision_model',
  'ijepa', 'data2vec-vision', 'flava',
]); // prettier-ignore
/** Those with an untrained `pooler_output`, or one trained for text. */
const withoutPooler: ReadonlySet<string> = new Set(['vit', 'deit', 'vit_mae', 'vit_msn']);
const answers: ReadonlySet<string> = new Set([
  'logits', 'logits_per_image', 'logits_per_text', 'text_embeds', 'pred_boxes', 'image_positional_embeddings', 'probabilities',
  'scores',
]); // prettier-ignore

/** Chooses a model's feature. @throws OnnxLoraError as `featureOf` */
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
      // A classifier's scores come from a layer, whatever their name.
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

/** A model's feature and image loader. @throws OnnxLoraError as {@link featuresOf} and {@link openImages} */
export async function openFeatures(
  model: TaskModel,
  options: FeatureOptions & ImageReading,
): Promise<OpenedImages & { readonly features: Features }> {
  const features = featuresOf(model, options);
  return { features, ...(await openImages(model, features.input.name, options)) };
}

/** Pools a batch to float32 `[batch, width]`. @throws OnnxLoraError as `pooledRows` */
export function imageRows(outputs: Readonly<Record<string, Tensor>>, features: Features): Tensor {
  return pooledRows(outputs, features.output, poolingOf(features));
}

/** {@link imageRows} as a graph fragment, for losses. */
export function imageValue(g: GraphBuilder, outputs: Readonly<Record<string, Value>>, features: Features): Value {
  return pooledValue(g, outputs[features.output]!, poolingOf(features));
}

function poolingOf({ pooling, extraTokens }: Features): PoolOptions {
  const places = (_: number, count: number): readonly [number, number] =>
    pooling === 'cls' ? [0, 1] : [count > extraTokens ? extraTokens : 0, count];
  return { places, kind: pooling === 'gem' ? 'gem' : 'mean' };
}

function modelType({ config }: TaskModel): string | undefined {
  const type = config?.['model_type'];
  return typeof type === 'string' ? type : undefined;
}

/** True for SigLIP's training: independent pairs, and texts of one padded length. */
export function isSiglip(model: TaskModel): boolean {
  return modelType(model)?.startsWith('siglip') ?? false;
}
