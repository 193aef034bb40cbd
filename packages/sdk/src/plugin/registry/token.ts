/** @file What a plugin can lend to others, such as a decoder of images: a typed key, and whatever is behind it. */

/** A thing that one plugin provides and any may need. Two keys of one name are the same thing. */
export interface Token<T> {
  /** What it is called: `image-decoder`. */
  readonly name: string;
  /** The package that usually brings it, for the error where none does. */
  readonly usuallyFrom?: string;
  readonly isList: false;
  /** Holds the type; never there. */
  readonly type?: T;
}

/** Things of which plugins may provide any number, such as formats of sound files; whoever needs it gets all of them. */
export interface TokenList<T> {
  /** What it is called: `sound-format`. */
  readonly name: string;
  readonly isList: true;
  /** Holds the type; never there. */
  readonly type?: T;
}

/** Tokens by the names under which what is bound to them is handed over. */
export type Needs = Readonly<Record<string, Token<unknown> | TokenList<unknown>>>;

/** What is bound to the tokens that were asked for, by the same names. */
export type Resolved<N extends Needs> = {
  readonly [Name in keyof N]: N[Name] extends TokenList<infer T>
    ? readonly T[]
    : N[Name] extends Token<infer T>
      ? T
      : never;
};

/** A token, and how what it stands for is made. */
export interface Binding {
  /** What is provided. */
  readonly token: Token<unknown> | TokenList<unknown>;
  /** What making it takes. */
  readonly needs: Needs;
  /** Whether it stands back where another plugin provides the same. */
  readonly isDefault: boolean;
  /** Called once, when it is first needed. */
  readonly make: (needed: Readonly<Record<string, unknown>>) => unknown;
}

/**
 * A typed key.
 *
 * @param name such as `image-decoder`; what the same thing is called by all who need it
 * @param options.usuallyFrom the package that brings it
 *
 * @example
 * export const IMAGE_DECODER = token<ImageDecoder>('image-decoder', { usuallyFrom: '@onnx-lora/vision' });
 */
export function token<T>(name: string, options: { readonly usuallyFrom?: string } = {}): Token<T> {
  return { name, isList: false, ...options };
}

/** A typed key of which there may be many, such as `tokenList<AudioFormat>('audio-format')`. */
export function tokenList<T>(name: string): TokenList<T> {
  return { name, isList: true };
}

/**
 * Binds what is made to a token. `needs` are tokens of what it is made from; with `isDefault`, which is false by
 * default, it stands back where another plugin provides the same.
 *
 * @example
 * binding(AUDIO_READER, ({ formats }) => new AudioFileReader(formats), { needs: { formats: AUDIO_FORMAT }, isDefault: true })
 */
export function binding<T, N extends Needs = Record<never, never>>(
  key: Token<T> | TokenList<T>,
  make: (needed: Resolved<N>) => NoInfer<T>,
  { needs, isDefault = false }: { readonly needs?: N; readonly isDefault?: boolean } = {},
): Binding {
  return { token: key, needs: needs ?? {}, isDefault, make: make as Binding['make'] };
}
