/**
 * @file Tiles of large pictures: where they lie, and how boxes of several become one.
 *
 * @see Akyon et al., "Slicing Aided Hyper Inference and Fine-tuning for Small Object Detection" (2022), arXiv:2202.06934
 */

import { cropPlane } from '../../preprocess/crop.ts';
import type { Image } from '../../image/image.ts';
import type { FoundObject } from '../../metrics/cocoEvaluation.ts';
import type { Extent } from '../../metrics/objectOverlaps.ts';

/** A tile, or the whole picture: its pixels and the place of the first one. */
export interface Tile {
  readonly image: Image;
  readonly left: number;
  readonly top: number;
}

/** Least share of a tile's edge that it shares with the next one. */
const OVERLAP = 0.2;
/** Share of the smaller of two boxes above which they are one object. */
const SAME = 0.5;

/** The picture as a whole, then in tiles of equal size, unless one tile would hold it. */
export function tilesOf(image: Image, edge: number): readonly Tile[] {
  const whole = { image, left: 0, top: 0 };
  const [width, height] = [Math.min(edge, image.width), Math.min(edge, image.height)];
  if (width === image.width && height === image.height) return [whole];
  const tiles = starts(image.height, height).flatMap(
    (top) =>
    starts(image.width, width).map((left): Tile => ({ image: cropPlane(image, 3, { left, top }, { width, height }), left, top })), // prettier-ignore
  );
  return [whole, ...tiles];
}

/** The first pixels of tiles, evenly spaced from one border to the other. */
function starts(size: number, edge: number): number[] {
  const count = size <= edge ? 1 : 1 + Math.ceil((size - edge) / Math.max(1, Math.floor(edge * (1 - OVERLAP))));
  return Array.from({ length: count }, (_, i) => (count === 1 ? 0 : Math.round((i * (size - edge)) / (count - 1))));
}

/**
 * Objects of the whole picture from those of its tiles. A box of another tile that shares more than half of the smaller
 * area with one of a higher score, of the same class, is the same object: the box becomes that around both, as an object
 * may be cut at a border. Boxes of one tile stay apart.
 */
export function mergedTiles(
  tiles: readonly { readonly left: number; readonly top: number; readonly found: readonly FoundObject[] }[],
): FoundObject[] {
  const all = tiles.flatMap(({ left, top, found }, tile) =>
    found.map(({ box: [x, y, w, h], ...rest }) => ({
      object: { ...rest, box: [x + left, y + top, w, h] } as FoundObject,
      tiles: new Set([tile]),
      tile,
    })),
  );
  const kept: (typeof all)[number][] = [];
  for (const each of all.sort((a, b) => b.object.score - a.object.score)) {
    const same = kept.find(
      ({ object, tiles: seen }) =>
        !seen.has(each.tile) && object.label === each.object.label && shareOf(object.box, each.object.box) > SAME,
    );
    if (same) {
      same.object = { ...same.object, box: around(same.object.box, each.object.box) };
      same.tiles.add(each.tile);
    } else kept.push(each);
  }
  return kept.map(({ object }) => object);
}

/** The common area as a share of the smaller one. */
function shareOf(a: Extent, b: Extent): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / Math.min(a[2] * a[3], b[2] * b[3]);
}

function around(a: Extent, b: Extent): Extent {
  const [x, y] = [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
  return [x, y, Math.max(a[0] + a[2], b[0] + b[2]) - x, Math.max(a[1] + a[3], b[1] + b[3]) - y];
}
