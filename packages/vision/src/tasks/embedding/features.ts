/** @file Which value of a graph is an image's feature, and how one vector is made of it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { imagePort, type ImagePort } from '../imagePort.ts';
import { modelType } from './modelType.ts';

/** What is made of several vectors per image: of tokens the class token or the mean, of a map the mean, or GeM of either. */
export type Pooling = 'cls' | 'mean' | 'gem';

/** The name that stands for what a classifier's head reads. */
const BEFORE_HEAD = 'before-head';

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
 * @throws OnnxLoraError `CONFIG_INVALID` for an output that there is not, or whose values are scores; `MODEL_UNSUPPORTED`
 *   where nothing is a feature
 */
export function featuresOf(model: TaskModel, { output, pooling }: FeatureOptions = {}): Features {
  const input = imagePort(model);
  const type = modelType(model);
  const classToken = type !== undefined && withClassToken.has(type);
  const registers = model.config?.['num_register_tokens'];
  const found = output === undefined ? usual(model, type) : named(model, output);
  return {
    input,
    ...found,
    pooling: pooling ?? (classToken && isTokens(model, found.output) ? 'cls' : 'mean'),
    extraTokens: classToken ? 1 + (typeof registers === 'number' ? registers : 0) : 0,
  };
}

interface Found {
  readonly output: string;
  readonly inner: readonly string[];
}

function usual(model: TaskModel, type: string | undefined): Found {
  const names = Object.keys(model.outputs);
  const preferred =
    type !== undefined && withoutPooler.has(type)
      ? ['image_embeds', 'last_hidden_state', 'pooler_output']
      : ['image_embeds', 'pooler_output', 'last_hidden_state'];
  const other = names.filter((name) => !answers.has(name) && isFeature(model, name));
  const output = preferred.find((name) => names.includes(name)) ?? other.find((name) => !givenByHead(model, name));
  if (output !== undefined) return { output, inner: [] };
  return beforeHead(model);
}

/** Whether a layer gives an output of two dimensions, as a classifier's head does. */
function givenByHead(model: TaskModel, name: string): boolean {
  return model.outputs[name]?.dims?.length === 2 && model.headInput?.(name) !== undefined;
}

function named(model: TaskModel, output: string): Found {
  if (output === BEFORE_HEAD) return beforeHead(model);
  const names = Object.keys(model.outputs);
  if (!names.includes(output)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" has no output "${output}".${didYouMean(output, names)} It has ${names.join(', ')}; "${BEFORE_HEAD}" is what a classifier's head reads.`,
    );
  }
  if (!answers.has(output) && isFeature(model, output)) return { output, inner: [] };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The output "${output}" of "${model.name}" holds scores, not features of an image. Take "${BEFORE_HEAD}", which is what the layer reads that gives scores, or another output.`,
  );
}

function beforeHead(model: TaskModel): Found {
  const names = Object.keys(model.outputs);
  for (const name of [...names.filter((each) => answers.has(each)), ...names]) {
    const head = model.headInput?.(name);
    if (head) return { output: head.name, inner: Object.hasOwn(model.outputs, head.name) ? [] : [head.name] };
  }
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `No output of "${model.name}" is a feature of an image, and no single layer gives one of them (it has ${names.join(', ')}). Export the model with "last_hidden_state" or "pooler_output" as an output.`,
  );
}

function isFeature(model: TaskModel, name: string): boolean {
  const { type, dims } = model.outputs[name]!;
  return type === 'float32' && (!dims || (dims.length >= 2 && dims.length <= 4));
}

function isTokens(model: TaskModel, name: string): boolean {
  const dims = model.outputs[name]?.dims;
  return name === 'last_hidden_state' || dims?.length === 3;
}
