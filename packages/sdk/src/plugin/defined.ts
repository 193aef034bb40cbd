/** @file Objects of what there is to say. */

/** What {@link defined} makes of an object. */
export type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** An object without what is undefined: what a record does not say is not in it. */
export function defined<T extends object>(object: T): Defined<T> {
  const found: Partial<T> = {};
  for (const key of Object.keys(object) as (keyof T)[]) if (object[key] !== undefined) found[key] = object[key];
  return found as unknown as Defined<T>;
}
