/** @file The bytes of tokens; a character may span several tokens. */

import { isObject, type JsonObject } from '@onnx-lora/sdk/data';

/** The character for each byte in GPT-2's vocabulary and its kin: the byte's own where it can be seen, else one from 256 on. */
export const byteLetters: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const isSeen = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCodePoint(isSeen ? byte : next++);
  });
})();
const encoder = new TextEncoder();
const bytesOfLetters: ReadonlyMap<string, number> = new Map(byteLetters.map((letter, byte) => [letter, byte]));

/** The types of a step of a tokenizer.json, and of those that a `Sequence` of them has. */
export function typesOf(step: unknown): readonly unknown[] {
  return stepsIn(step).map(({ type }) => type);
}

function stepsIn(step: unknown): readonly JsonObject[] {
  if (!isObject(step)) return [];
  const inner = ['processors', 'pretokenizers', 'normalizers', 'decoders'].map((name) => step[name]);
  return [step, ...inner.flatMap((list) => (Array.isArray(list) ? list.flatMap(stepsIn) : []))];
}

/** Decoders that map each token by itself, except for a leading blank. */
const plainDecoders: ReadonlySet<unknown> = new Set([
  'Sequence',
  'Replace',
  'Metaspace',
  'ByteFallback',
  'Fuse',
  'Strip',
]);

/**
 * What gives the bytes of a token, by the decoder of its tokenizer.json: a character for each byte, as GPT-2 has them, or sentence
 * pieces, with `▁` for a blank and `<0x0A>` for a byte. Undefined where a token's text depends on those around it, as WordPiece's
 * does.
 * @param added tokens that are written as they are
 */
export function tokenBytes(decoder: unknown, added: ReadonlySet<string>): ((token: string) => Uint8Array) | undefined {
  const steps = stepsIn(decoder);
  const types = steps.map(({ type }) => type);
  if (types.includes('ByteLevel')) {
    const bytes = (token: string): Uint8Array => Uint8Array.from(token, (letter) => bytesOfLetters.get(letter) ?? 0);
    return (token) => (added.has(token) ? encoder.encode(token) : bytes(token));
  }
  if (steps.length === 0 || !types.every((type) => plainDecoders.has(type))) return undefined;
  const hasBytes = types.includes('ByteFallback');
  const isBlank = (step: JsonObject): boolean =>
    step['type'] === 'Metaspace' || (isObject(step['pattern']) && step['pattern']['String'] === '▁' && step['content'] === ' '); // prettier-ignore
  if (!steps.every((step) => step['type'] !== 'Replace' || isBlank(step))) return undefined;
  const hasBlanks = steps.some(isBlank);
  return (token) => {
    const byte = hasBytes ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined;
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
    return encoder.encode(hasBlanks ? token.replaceAll('▁', ' ') : token);
  };
}
