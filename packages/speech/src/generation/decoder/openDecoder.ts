/** @file The encoder and the decoder of a model, in whichever files it is published as. */

import { type Feeds, Model, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableOptions } from '@onnx-lora/sdk/tasks';
import { asPort, CachedDecoder, type Decoding, type DecodingOptions, ones, PlainDecoder, withLogitPlaces } from '@onnx-lora/sequences'; // prettier-ignore
import type { HeardSizes } from '../hearing.ts';

/** What a decoder calls its inputs. */
export interface DecoderPorts {
  readonly ids: string;
  readonly states: string;
}

/** A loaded decoder, which writes about sound. */
export interface SoundDecoder {
  /**
   * Begins a text for each row.
   *
   * @param states what the encoder made of the sound, `[rows, positions, hidden]`
   */
  begin(states: Tensor, options?: DecodingOptions): Decoding;
  /** Frees the sessions. */
  release(): Promise<void>;
}

/** The files that serve a model. */
export interface ServingParts {
  readonly encoder: RunnableModel;
  /** The output that the decoder reads. */
  readonly states: string;
  /** The decoder's first pass; of one without a past all passes. */
  readonly first: RunnableModel;
  /** Further passes; the same model where one file holds both. */
  readonly next?: RunnableModel;
  /** What a decoder without a past calls its inputs. */
  readonly ports: DecoderPorts;
}

const STATES = 'last_hidden_state';
/** Which positions of the sound are heard: all of them. */
const MASK = 'encoder_attention_mask';
const usualPorts: DecoderPorts = { ids: 'input_ids', states: 'encoder_hidden_states' };

/**
 * Which of a model's files serve it: both decoders in one are preferred, since they have their weights in common. A model of one
 * file is cut behind its encoder.
 *
 * @param sizes of the encoder's inputs, where it shall hear less than its window
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without an encoder and a decoder
 */
export function servingParts(model: RunnableModel, sizes?: HeardSizes): ServingParts {
  const decoders = model.parts.filter(({ inputs }) => usualPorts.ids in inputs);
  const encoder = model.parts.find(({ inputs, outputs }) => !(usualPorts.ids in inputs) && STATES in outputs);
  const merged = decoders.find(({ inputs }) => 'use_cache_branch' in inputs);
  const first = decoders.find((part) => part !== merged && !has(part.inputs, 'past_key_values.'));
  const next = decoders.find((part) => part !== merged && has(part.inputs, 'past_key_values.'));
  const common = { states: STATES, ports: usualPorts };
  if (encoder && merged) return forSizes({ ...common, encoder, first: merged, next: merged }, sizes);
  if (encoder && first) {
    const parts = { ...common, encoder, first, ...(next && has(first.outputs, 'present.') ? { next } : {}) };
    return forSizes(parts, sizes);
  }
  const cut = cutBehindEncoder(model);
  if (cut) return forSizes(cut, sizes);
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" has no encoder and decoder that can write text. Open a folder with encoder_model.onnx and decoder_model_merged.onnx, or decoder_model.onnx, as published models have them; or, for a model that classifies or embeds sound, name that task, such as audio-classification.`,
  );
}

/** The parts with an encoder for inputs of these sizes, and decoders for as many positions as it gives then. */
function forSizes(parts: ServingParts, sizes: HeardSizes | undefined): ServingParts {
  if (!sizes) return parts;
  const encoder = resized(parts.encoder, sizes);
  const positions = encoder.outputs[parts.states]?.dims?.[1];
  const { states } = parts.ports;
  // Most leave open how many positions they read.
  const fitting = (decoder: RunnableModel): RunnableModel =>
    typeof positions === 'number' && typeof decoder.inputs[states]?.dims?.[1] === 'number'
      ? resized(decoder, { [states]: { 1: positions } })
      : decoder;
  const first = fitting(parts.first);
  const next = parts.next && (parts.next === parts.first ? first : fitting(parts.next));
  return { ...parts, encoder, first, ...(next ? { next } : {}) };
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` where the graph cannot follow */
function resized(model: RunnableModel, sizes: HeardSizes): RunnableModel {
  if (model.withInputSizes) return model.withInputSizes(sizes);
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" cannot hear less than its window. Set contextSeconds to "full".`,
  );
}

function has(ports: RunnableModel['inputs'], start: string): boolean {
  return Object.keys(ports).some((name) => name.startsWith(start));
}

/** A model of one file in two, where its family knows what the decoder reads of the encoder. */
function cutBehindEncoder(model: RunnableModel): ServingParts | undefined {
  const ids = 'decoder_input_ids';
  if (!(model instanceof Model) || !(ids in model.inputs)) return undefined;
  const [states, ...others] = new Set(crossKeys(model).map(({ input }) => input));
  if (states === undefined || others.length > 0) return undefined;
  const [encoder, first] = model.cutAt(states);
  return { encoder, states, first, ports: { ids, states } };
}

/** The layers that make keys of the encoder's states, in the order in which they are computed. */
function crossKeys(model: Model): ReturnType<Model['sites']> {
  const keys = (model.family?.roles['cross-attention.key'] ?? []).map(({ source }) => new RegExp(`^(?:${source})$`));
  return model.sites().filter(({ path }) => keys.some((pattern) => pattern.test(path)));
}

/** What a decoder attends to. */
interface CrossAttentions {
  /** Without a past. */
  readonly decoder: Model;
  readonly ports: DecoderPorts;
  /** By layer, the value inside the decoder's graph that holds the weights. */
  readonly values: readonly string[];
}

/** Where the decoder shows what of the sound it attends to; undefined where it does not. */
export function crossAttentions(model: RunnableModel, sizes?: HeardSizes): CrossAttentions | undefined {
  if (!(model instanceof Model)) return undefined;
  const plain = model.withoutKnownBranches();
  const cut = cutBehindEncoder(plain);
  const values = crossKeys(plain).map(({ path }) => plain.attentionBehind(path));
  if (!cut || values.includes(undefined)) return undefined;
  const { first, ports } = forSizes(cut, sizes);
  return first instanceof Model ? { decoder: first, ports, values: values as string[] } : undefined;
}

/** Loads the decoder. */
export async function openDecoder(
  { first, next, ports }: ServingParts,
  options: RunnableOptions,
): Promise<SoundDecoder> {
  const own = withLogitPlaces(first);
  const decoder = await (next
    ? CachedDecoder.open(own, next === first ? own : next, options)
    : PlainDecoder.open(own, ports.ids, options));
  const fixed = (states: Tensor): Feeds => ({
    [ports.states]: asPort(states, first.inputs[ports.states]),
    ...(MASK in first.inputs ? { [MASK]: ones(states.dims.slice(0, 2)) } : {}),
  });
  return {
    begin: (states, chosen) => decoder.begin({ rows: states.dims[0]!, fixed: fixed(states), ...chosen }),
    release: () => decoder.release(),
  };
}
