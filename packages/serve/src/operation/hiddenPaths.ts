/** @file Messages for clients, without the places of this machine. */

import path from 'node:path';

/** A place on this machine, and what clients may call it. */
export type HiddenPlace = readonly [place: string | undefined, label: string];

/**
 * Replaces places by what clients may call them. A place without a separator is a name, and stays.
 *
 * @example
 * hidingPaths([['/srv/models/vit', 'vit']])('"/srv/models/vit/model.onnx" is gone.'); // "vit/model.onnx" is gone.
 */
export function hidingPaths(places: readonly HiddenPlace[]): (message: string) => string {
  const known = places
    .flatMap(([place, label]) =>
      place === undefined
        ? []
        : ([
            [place, label],
            [path.resolve(place), label],
          ] as const),
    ) // prettier-ignore
    .filter(([place]) => /[/\\]./.test(place))
    .sort(([a], [b]) => b.length - a.length);
  return (message) => known.reduce((text, [place, label]) => text.replaceAll(place, () => label), message);
}
