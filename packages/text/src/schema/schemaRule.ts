/** @file A logit rule that restricts a text to a JSON schema, over the tokens' bytes. */

import { latin1, utf8 } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { LogitRule, SequenceTokenizer } from '@onnx-lora/sequences';
import { JsonAutomaton, type JsonState } from './jsonState.ts';
import { type JsonSchema, readShape } from './jsonShape.ts';

/** The bytes of a vocabulary's tokens, sorted as a prefix-compressed list. */
export class TokenSpellings {
  readonly #size: number;
  /** Sorted by bytes; each character is a byte. */
  readonly #texts: readonly string[];
  readonly #ids: readonly number[];
  /** Length of the prefix shared with the one before. */
  readonly #common: readonly number[];
  readonly #byId: readonly (string | undefined)[];

  constructor(size: number, bytesOf: NonNullable<SequenceTokenizer['bytesOf']>) {
    this.#size = size;
    this.#byId = Array.from({ length: size }, (_, id) => {
      const bytes = bytesOf(id);
      return bytes && bytes.length > 0 ? latin1(bytes) : undefined;
    });
    const ids = [...this.#byId.keys()].filter((id) => this.#byId[id] !== undefined);
    this.#ids = ids.sort((a, b) => (this.#byId[a]! < this.#byId[b]! ? -1 : 1));
    this.#texts = this.#ids.map((id) => this.#byId[id]!);
    this.#common = this.#texts.map((text, i) => commonLength(text, this.#texts[i - 1] ?? ''));
  }

  /** Whether each of the bytes is a token. */
  hasEach(bytes: Iterable<number>): boolean {
    const single = new Set(this.#texts.filter((text) => text.length === 1));
    return [...bytes].every((byte) => single.has(String.fromCharCode(byte)));
  }

  /** The state after the tokens; undefined if they are not allowed. */
  behind(start: JsonState, tokens: readonly number[]): JsonState | undefined {
    let state: JsonState | undefined = start;
    for (const token of tokens) {
      const text = this.#byId[token];
      if (text === undefined) return undefined;
      for (let at = 0; at < text.length && state; at++) state = state.after(text.charCodeAt(at));
    }
    return state;
  }

  /** The allowed tokens: a bit per id, 32 in a word. */
  allowed(state: JsonState): Uint32Array {
    const found = new Uint32Array(Math.ceil(this.#size / 32));
    // States after each byte of a token, up to the first one that is not allowed.
    const states: JsonState[] = [state];
    let reached = 0;
    for (const [i, text] of this.#texts.entries()) {
      const common = this.#common[i]!;
      // It shares the previous token's prefix, including the byte that is not allowed.
      if (common > reached) continue;
      for (reached = common; reached < text.length; reached++) {
        const next = states[reached]!.after(text.charCodeAt(reached));
        if (!next) break;
        states[reached + 1] = next;
      }
      const id = this.#ids[i]!;
      if (reached === text.length) found[id >>> 5]! |= 1 << (id & 31);
    }
    return found;
  }
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** Maximum numbers of cached states and sets of tokens. */
const [MOST_STATES, MOST_SETS] = [100_000, 256];

const spellings = new WeakMap<SequenceTokenizer, TokenSpellings>();

/** Applies a schema to a vocabulary. Sets of allowed tokens are cached by state. */
export class SchemaTokens {
  readonly #spellings: TokenSpellings;
  readonly #shape: ReturnType<typeof readShape>;
  #automaton: JsonAutomaton;
  #sets = new Map<JsonState, Uint32Array>();

  /**
   * @throws OnnxLoraError `CONFIG_INVALID` as {@link readShape}; `MODEL_UNSUPPORTED` for a tokenizer without known
   * bytes per token, or without a token for each letter
   */
  constructor(schema: JsonSchema, tokenizer: SequenceTokenizer) {
    this.#shape = readShape(schema);
    this.#automaton = new JsonAutomaton(this.#shape);
    this.#spellings = spellingsOf(tokenizer);
    const ascii = Array.from({ length: 0x7f - 0x20 }, (_, i) => 0x20 + i);
    if (this.#spellings.hasEach([...ascii, ...utf8(JSON.stringify(schema))])) return;
    throw unsupported('has no token for some of the letters that JSON by this schema is made of');
  }

  /** Keeps the tokens that the schema allows, and the end tokens `ends` after a complete text. */
  rule(ends: readonly number[]): LogitRule {
    return (logits, written) => {
      // Only long texts of an unbounded schema come this far.
      if (this.#automaton.size > MOST_STATES) {
        this.#automaton = new JsonAutomaton(this.#shape);
        this.#sets = new Map();
      }
      const state = this.#spellings.behind(this.#automaton.start, written)!;
      const allowed = this.#allowed(state);
      const ending = ends.map((end) => logits[end]!);
      for (let id = 0; id < logits.length; id++)
        if (((allowed[id >>> 5] ?? 0) & (1 << (id & 31))) === 0) logits[id] = -Infinity;
      ends.forEach((end, i) => {
        if (end < logits.length) logits[end] = state.isWhole ? ending[i]! : -Infinity;
      });
      if (!logits.every((score) => score === -Infinity)) return;
      throw new OnnxLoraError(
        'INPUT_INVALID',
        'Another option forbids every token that the schema allows next. Leave out noRepeatNgramSize, badWordsIds, suppressTokens and minNewTokens, or set noRepeatNgramSize to 0 where generation_config.json has one.',
      );
    };
  }

  #allowed(state: JsonState): Uint32Array {
    const known = this.#sets.get(state);
    // Moves the entry to the end: the first is the least recently used.
    if (known) this.#sets.delete(state);
    const allowed = known ?? this.#spellings.allowed(state);
    this.#sets.set(state, allowed);
    if (this.#sets.size > MOST_SETS) this.#sets.delete(this.#sets.keys().next().value!);
    return allowed;
  }
}

function spellingsOf(tokenizer: SequenceTokenizer): TokenSpellings {
  const known = spellings.get(tokenizer);
  if (known) return known;
  if (!tokenizer.bytesOf) throw unsupported('does not say what each of its tokens spells');
  const made = new TokenSpellings(tokenizer.size, tokenizer.bytesOf);
  spellings.set(tokenizer, made);
  return made;
}

function unsupported(what: string): OnnxLoraError {
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `The tokenizer of the model ${what}, so a schema cannot be kept to. Take a model with byte-level BPE or sentence pieces, or write without a schema.`,
  );
}
