/** @file The encoder and the decoder of a speech model, loaded from its parts. */

import { type Feeds, Model, OnnxLoraError, type Tensor, type AdapterChoice } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableOptions, RunnableSession } from '@onnx-lora/sdk/tasks';
import {
  adaptersOf,
  asPort,
  CachedDecoder,
  type Decoding,
  type DecodingOptions,
  joinRows,
  ones,
  PlainDecoder,
  requireEach,
  selectRows,
  withLogitPlaces,
} from '@onnx-lora/sequences';
import type { ContextSizes } from '../features/audioContext.ts';

export interface DecoderPorts {
  readonly ids: string;
  readonly states: string;
}

/** A loaded decoder of encoder states. */
export interface SpeechDecoder {
  /** Begins a text for each row of encoder states, `[rows, positions, hidden]`. */
  begin(states: Tensor, options?: DecodingOptions): Decoding;
  release(): Promise<void>;
}

export interface ServingParts {
  readonly encoder: RunnableModel;
  readonly states: string;
  /** The decoder's first pass; without a KV cache, every pass. */
  readonly first: RunnableModel;
  /** Later passes, with a KV cache; the same model where one file holds both. */
  readonly next?: RunnableModel;
  /** Input names of a decoder without a KV cache. */
  readonly ports: DecoderPorts;
}

const STATES = 'last_hidden_state';
/** Marks the encoder positions to attend to: all of them. */
const DECODER_MASK = 'encoder_attention_mask';
const usualPorts: DecoderPorts = { ids: 'input_ids', states: 'encoder_hidden_states' };

/** A model's files for serving, the merged decoder first. @throws OnnxLoraError `MODEL_UNSUPPORTED` */
export function servingParts(model: RunnableModel, sizes?: ContextSizes): ServingParts {
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

/** The parts, resized to encoder inputs of `sizes` and decoders of the matching number of positions. */
function forSizes(parts: ServingParts, sizes: ContextSizes | undefined): ServingParts {
  if (!sizes) return parts;
  const encoder = resized(parts.encoder, sizes);
  const positions = encoder.outputs[parts.states]?.dims?.[1];
  const { states } = parts.ports;
  // Most decoders take any number of positions.
  const fitting = (decoder: RunnableModel): RunnableModel =>
    typeof positions === 'number' && typeof decoder.inputs[states]?.dims?.[1] === 'number'
      ? resized(decoder, { [states]: { 1: positions } })
      : decoder;
  const first = fitting(parts.first);
  const next = parts.next && (parts.next === parts.first ? first : fitting(parts.next));
  return { ...parts, encoder, first, ...(next ? { next } : {}) };
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` if the graph cannot be resized */
function resized(model: RunnableModel, sizes: ContextSizes): RunnableModel {
  if (model.withInputSizes) return model.withInputSizes(sizes);
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" cannot hear less than its window. Set contextSeconds to "full".`,
  );
}

function has(ports: RunnableModel['inputs'], start: string): boolean {
  return Object.keys(ports).some((name) => name.startsWith(start));
}

/** Splits a model in one file, if its family names the encoder states. */
function cutBehindEncoder(model: RunnableModel): ServingParts | undefined {
  const ids = 'decoder_input_ids';
  if (!(model instanceof Model) || !(ids in model.inputs)) return undefined;
  const [states, ...others] = new Set(crossKeys(model).map(({ input }) => input));
  if (states === undefined || others.length > 0) return undefined;
  const [encoder, first] = model.cutAt(states);
  return { encoder, states, first, ports: { ids, states } };
}

/** The layers that compute cross-attention keys, in graph order. */
function crossKeys(model: Model): ReturnType<Model['sites']> {
  const keys = (model.family?.roles['cross-attention.key'] ?? []).map(({ source }) => new RegExp(`^(?:${source})$`));
  return model.sites().filter(({ path }) => keys.some((pattern) => pattern.test(path)));
}

interface CrossAttentions {
  readonly decoder: Model;
  readonly ports: DecoderPorts;
  /** The value with the attention weights, by layer. */
  readonly values: readonly string[];
}

/** Finds the decoder's cross-attention weights; undefined if the graph does not expose them. */
export function crossAttentions(model: RunnableModel, sizes?: ContextSizes): CrossAttentions | undefined {
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
): Promise<SpeechDecoder> {
  const own = withLogitPlaces(first);
  const decoder = await (next
    ? CachedDecoder.open(own, next === first ? own : next, options)
    : PlainDecoder.open(own, ports.ids, options));
  const fixed = (states: Tensor): Feeds => ({
    [ports.states]: asPort(states, first.inputs[ports.states]),
    ...(DECODER_MASK in first.inputs ? { [DECODER_MASK]: ones(states.dims.slice(0, 2)) } : {}),
  });
  return {
    begin: (states, chosen) => decoder.begin({ rows: states.dims[0]!, fixed: fixed(states), ...chosen }),
    release: () => decoder.release(),
  };
}

/** Marks the samples that are sound. */
const MASK = 'attention_mask';

/** A loaded encoder. */
export class AudioEncoder {
  readonly #session: RunnableSession;
  readonly #inputs: RunnableModel['inputs'];
  readonly #states: string;

  private constructor(session: RunnableSession, { inputs }: RunnableModel, states: string) {
    this.#session = session;
    this.#inputs = inputs;
    this.#states = states;
  }

  static async open(model: RunnableModel, states: string, options: RunnableOptions): Promise<AudioEncoder> {
    return new AudioEncoder(await model.session(options), model, states);
  }

  /** States `[rows, positions, hidden]` of a batch of features. */
  async encode(features: Feeds, { adapter = null, signal }: DecodingOptions): Promise<Tensor> {
    const known = Object.entries(features).filter(([name]) => name in this.#inputs);
    const feeds = known.map(([name, tensor]) => [name, asPort(tensor, this.#inputs[name])] as const);
    const [[, first] = []] = feeds;
    const rows = first?.dims[0] ?? 0;
    // A model trained without a mask may still have the input: then everything is sound.
    if (first && MASK in this.#inputs && !(MASK in features)) feeds.push([MASK, ones([rows, first.dims.at(-1)!])]);
    requireEach(adapter, rows, 'clips');
    const run = async (own: readonly (readonly [string, Tensor])[], each: AdapterChoice): Promise<Tensor> => {
      const options = { adapter: each, fetches: [this.#states], ...(signal ? { signal } : {}) };
      return (await this.#session.run(Object.fromEntries(own), options))[this.#states]!;
    };
    // On a CPU, the attention of one clip of 30 s already exceeds the caches: batches are slower and take more memory.
    if (this.#session.provider !== 'cpu') return run(feeds, adapter);
    const states: Tensor[] = [];
    for (let row = 0; row < rows; row++) {
      const own = feeds.map(([name, tensor]) => [name, selectRows(tensor, [row])] as const);
      states.push(await run(own, adaptersOf(adapter, [row])));
    }
    return joinRows(states);
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
