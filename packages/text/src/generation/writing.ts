/** @file Turns logits into texts, token by token or by beam search, and streams the pieces of text that are certain. */

import {
  beamSearch,
  type Decoding,
  type FoundText,
  type LogitRule,
  logitRules,
  samplingRules,
  takeTokens,
  type WrittenText,
} from '@onnx-lora/sequences';
import type { WantedText } from './checkedPrompts.ts';
import type { GenerationPlan } from './generateOptions.ts';
import type { FinishReason, GeneratedText, TextPiece } from './textGenerator.ts';

/** Replacement characters of an incomplete character: one, or one for each of its up to 3 bytes. */
const unfinished = /\uFFFD{1,3}$/;
/** Number of tokens within a character after which they count as invalid. */
const MOST_PENDING = 32;

/** Decodes a stream of tokens into pieces of text. */
export class TextPieces {
  readonly #decode: (ids: readonly number[]) => string;
  readonly #stops: readonly string[];
  /** The tokens of the last piece, as context for the spelling, and those after it. */
  #ids: number[] = [];
  #given = 0;
  /** Characters already returned from tokens after the last piece, which end within a character. */
  #early = 0;
  /** Held back: a possible beginning of a stop string. */
  #held = '';

  constructor(decode: (ids: readonly number[]) => string, stops: readonly string[]) {
    this.#decode = decode;
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Appends a token; returns the new certain text, often empty, and whether the text is over. */
  push(token: number): { readonly text: string; readonly isOver: boolean } {
    this.#ids.push(token);
    const text = this.#spelled(this.#ids.length - this.#given >= MOST_PENDING);
    return this.#upToStop(this.#held + text);
  }

  /** The text held back, after the last token. */
  rest(): string {
    const { text, isOver } = this.#upToStop(this.#held + this.#spelled(true));
    const held = isOver ? '' : this.#held;
    this.#held = '';
    return text + held;
  }

  /** The text of the tokens after the last piece, without an incomplete character at the end. */
  #spelled(isFinal: boolean): string {
    const whole = this.#decode(this.#ids);
    const certain = isFinal ? whole : whole.replace(unfinished, '');
    const given = this.#decode(this.#ids.slice(0, this.#given)).length + this.#early;
    const text = certain.slice(given);
    if (certain === whole) {
      this.#ids = this.#ids.slice(this.#given);
      this.#given = this.#ids.length;
      this.#early = 0;
    } else this.#early += text.length;
    return text;
  }

  #upToStop(text: string): { readonly text: string; readonly isOver: boolean } {
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) return { text: text.slice(0, Math.min(...found)), isOver: true };
    const longest = Math.max(0, ...this.#stops.map((stop) => overlap(text, stop)));
    this.#held = text.slice(text.length - longest);
    return { text: text.slice(0, text.length - longest), isOver: false };
  }
}

/** Length of the text's end that may begin a stop string. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}

export interface StopRules {
  readonly plan: GenerationPlan;
  /** Rules besides those of the plan. */
  readonly extra: readonly LogitRule[];
  readonly decode: (ids: readonly number[]) => string;
}

/** Generates the texts of some rows. */
export class TextWriter {
  /** Generated texts, complete after {@link TextWriter.pieces}. */
  readonly texts: GeneratedText[] = [];
  readonly tokens: readonly number[][];
  readonly #rows: readonly WantedText[];
  readonly #plan: GenerationPlan;
  readonly #extra: readonly LogitRule[];
  readonly #decode: (ids: readonly number[]) => string;

  constructor(rows: readonly WantedText[], { plan, extra, decode }: StopRules) {
    this.#rows = rows;
    this.#plan = plan;
    this.#extra = extra;
    this.#decode = decode;
    this.tokens = rows.map(() => []);
  }

  /** @param logits after the prompts, which the decoding has read */
  async *pieces(decoding: Decoding, logits: readonly Float32Array[]): AsyncGenerator<TextPiece, void> {
    const { search, sampling, badWords, minTokens } = this.#plan;
    const rules = [...logitRules({ ...search, badWords, minTokens }), ...this.#extra, ...(sampling ? samplingRules(sampling) : [])]; // prettier-ignore
    const maxTokens = Math.max(...this.#rows.map((row) => row.maxTokens));
    const request = { ...search, decoding, logits, rules, maxTokens, prompts: this.#rows.map(({ ids }) => ids), scores: false }; // prettier-ignore
    if (search.beams > 1) yield* this.#found(await beamSearch(request));
    else yield* this.#taken({ ...request, temperature: sampling ? 1 : 0, seed: this.#rows.map(({ seed }) => seed) });
  }

  async *#taken(request: Parameters<typeof takeTokens>[0]): AsyncGenerator<TextPiece, void> {
    const states = this.#rows.map(({ stops }) => ({ pieces: new TextPieces(this.#decode, stops), text: '', piece: '', isStopped: false })); // prettier-ignore
    const isOver = (i: number, tokens: readonly number[]): boolean => {
      const { text, isOver: isStopped } = states[i]!.pieces.push(tokens.at(-1)!);
      Object.assign(states[i]!, { piece: text, isStopped });
      return isStopped || tokens.length >= this.#rows[i]!.maxTokens;
    };
    for await (const { row: i, token, text, isLast } of takeTokens({ ...request, isOver })) {
      const state = states[i]!;
      const { row } = this.#rows[i]!;
      this.tokens[i]!.push(token);
      const own = text.end === undefined ? state.piece : '';
      const piece = own + (isLast && !state.isStopped ? state.pieces.rest() : '');
      state.text += piece;
      const finish = isLast ? reasonOf(text, state.isStopped) : undefined;
      if (finish) this.texts[i] = { text: state.text, tokens: this.tokens[i]!, finish };
      yield { row, token, text: piece, ...(finish ? { finish } : {}) };
    }
  }

  *#found(found: readonly (readonly FoundText[])[]): Generator<TextPiece, void> {
    for (const [i, all] of found.entries()) {
      const texts = all.slice(0, this.#plan.returned).map((each): GeneratedText => {
        const tokens = each.end === undefined ? each.tokens : [...each.tokens, each.end];
        return { text: this.#decode(each.tokens), tokens, finish: reasonOf(each, false), score: each.score };
      });
      const best = texts[0]!;
      this.texts[i] = this.#plan.returned > 1 ? { ...best, alternatives: texts } : best;
      const pieces = new TextPieces(this.#decode, []);
      const { row } = this.#rows[i]!;
      for (const [place, token] of best.tokens.entries()) {
        const isLast = place === best.tokens.length - 1;
        const own = isLast && best.finish === 'end' ? '' : pieces.push(token).text;
        yield { row, token, text: isLast ? own + pieces.rest() : own, ...(isLast ? { finish: best.finish } : {}) };
      }
    }
  }
}

function reasonOf({ end }: WrittenText, isStopped: boolean): FinishReason {
  return end === undefined ? (isStopped ? 'stop' : 'length') : 'end';
}
