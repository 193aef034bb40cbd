/** @file Typed dependency-injection tokens: what plugins provide to each other, such as an image decoder. */

/** A dependency that one plugin provides. Tokens with the same name are the same. */
export interface Token<T> {
  /** Its name: `image-decoder`. */
  readonly name: string;
  /** The package that usually provides it, for the error if none does. */
  readonly usuallyFrom?: string;
  readonly isList: false;
  /** Carries the type; always undefined. */
  readonly type?: T;
}

/** A dependency with any number of providers, such as audio formats; it resolves to all of them. */
export interface TokenList<T> {
  /** Its name: `sound-format`. */
  readonly name: string;
  readonly isList: true;
  /** Carries the type; always undefined. */
  readonly type?: T;
}

/** Required tokens by argument name. */
export type Needs = Readonly<Record<string, Token<unknown> | TokenList<unknown>>>;

/** Resolved tokens by argument name. */
export type Resolved<N extends Needs> = {
  readonly [Name in keyof N]: N[Name] extends TokenList<infer T>
    ? readonly T[]
    : N[Name] extends Token<infer T>
      ? T
      : never;
};

/** A token with its implementation. */
export interface Binding {
  /** The provided token. */
  readonly token: Token<unknown> | TokenList<unknown>;
  /** Tokens that `make` needs. */
  readonly needs: Needs;
  /** Whether it yields to another plugin's binding of the token. */
  readonly isDefault: boolean;
  /** Makes the implementation; called once, on first use. */
  readonly make: (needed: Readonly<Record<string, unknown>>) => unknown;
}

/**
 * Makes a token; `usuallyFrom` names the package that provides it.
 * @example
 * export const IMAGE_DECODER = token<ImageDecoder>('image-decoder', { usuallyFrom: '@onnx-lora/vision' });
 */
export function token<T>(name: string, options: { readonly usuallyFrom?: string } = {}): Token<T> {
  return { name, isList: false, ...options };
}

/** Makes a token with many implementations: `tokenList<AudioFormat>('audio-format')`. */
export function tokenList<T>(name: string): TokenList<T> {
  return { name, isList: true };
}

/**
 * Binds an implementation to a token. `needs` are its dependencies; with `isDefault`, false by default, it yields to
 * another plugin's binding.
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
