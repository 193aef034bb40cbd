/**
 * @file The losses of dense heads beside plain programs of the papers' steps, over random scenes, ties and empty images;
 * their gradients beside differences of these programs.
 */

import { float32 } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { describe, expect, it } from 'vitest';
import { differentiated, gradientValues } from '../../../../../../test/support/differentiated.ts';
import { runOnce } from '../../../../../../test/support/graphs.ts';
import type { DetectionTargets } from './detectionLoss.ts';
import { detectionTargets } from '../targets.ts';
import { gridLoss } from './gridLoss.ts';
import { offsetLoss } from './offsetLoss.ts';
import { qualityLoss } from './qualityLoss.ts';

/** Class, center, width and height in pixels. */
type Thing = readonly [label: number, x: number, y: number, width: number, height: number];

interface Scene {
  readonly grids: readonly { readonly stride: number; readonly rows: number; readonly columns: number }[];
  readonly classes: number;
  readonly images: readonly (readonly Thing[])[];
  /** Raw outputs by level. */
  readonly values: readonly Float32Array[];
}

/** A place of an image with its raw numbers. */
interface Place {
  readonly x: number;
  readonly y: number;
  readonly stride: number;
  readonly raw: readonly number[];
  readonly box: readonly number[];
}

/** Object and target score of each place of each image; `object` is -1 without one. */
type Held = readonly (readonly { readonly object: number; readonly score: number }[])[];

interface Program {
  readonly channels: (classes: number) => number;
  readonly loss: (g: GraphBuilder, levels: Value[], targets: Pick<DetectionTargets, 'labels' | 'boxes' | 'counts'>, strides: number[]) => Value; // prettier-ignore
  readonly boxOf: (raw: readonly number[], x: number, y: number) => number[];
  /** The assignment, and how far it is from another one. */
  readonly assign: (places: readonly Place[], things: readonly Thing[], classes: number) => { held: Held[number]; margin: number }; // prettier-ignore
  readonly total: (places: readonly (readonly Place[])[], scene: Scene, held: Held) => number;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const entropy = (x: number, target: number): number => -target * Math.log(sigmoid(x)) - (1 - target) * Math.log(sigmoid(-x)); // prettier-ignore
const edgesOf = ([, x, y, w, h]: Thing): number[] => [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
const areaOf = (c: readonly number[]): number => (c[2]! - c[0]!) * (c[3]! - c[1]!);

function bothOf(a: readonly number[], b: readonly number[]): number {
  const across = Math.max(0, Math.min(a[2]!, b[2]!) - Math.max(a[0]!, b[0]!));
  return across * Math.max(0, Math.min(a[3]!, b[3]!) - Math.max(a[1]!, b[1]!));
}

function iou(a: readonly number[], b: readonly number[]): number {
  return bothOf(a, b) / (areaOf(a) + areaOf(b) - bothOf(a, b));
}

/** Complete IoU of a found box b with an object a; k is held at `held`, if given. */
function ciou(a: readonly number[], b: readonly number[], held?: number): { value: number; k: number } {
  const plain = bothOf(a, b) / (areaOf(a) + areaOf(b) - bothOf(a, b) + 1e-7);
  const [w, h] = [Math.max(a[2]!, b[2]!) - Math.min(a[0]!, b[0]!), Math.max(a[3]!, b[3]!) - Math.min(a[1]!, b[1]!)];
  const apart = ((a[0]! + a[2]! - b[0]! - b[2]!) ** 2 + (a[1]! + a[3]! - b[1]! - b[3]!) ** 2) / 4;
  const slope = (c: readonly number[]): number => Math.atan((c[2]! - c[0]!) / (c[3]! - c[1]! + 1e-7));
  const v = (4 / Math.PI ** 2) * (slope(a) - slope(b)) ** 2;
  const k = held ?? v / (v - plain + 1 + 1e-7);
  return { value: plain - apart / (w * w + h * h + 1e-7) - k * v, k };
}

/** Places of the least values, the first of equal ones first; and the distance to the next value. */
function least(values: readonly number[], count: number): { chosen: number[]; margin: number } {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b);
  const gap = order.length > count ? values[order[count]!]! - values[order[count - 1]!]! : Infinity;
  return { chosen: order.slice(0, count), margin: gap === 0 ? Infinity : gap };
}

/** Gives places that several take to the object that `rank` puts first. */
function oneEach(takers: readonly number[][], rank: (place: number) => readonly number[]): { object: number[]; margin: number } {
  let margin = Infinity;
  const object = takers.map((own, place) => {
    if (own.length < 2) return own[0] ?? -1;
    const best = least(rank(place), 1);
    margin = Math.min(margin, best.margin);
    return best.chosen[0]!;
  });
  return { object, margin };
} // prettier-ignore

/** SimOTA: as many places of least cost as the overlaps of the ten best sum up to. */
function byLeastCost(
  places: readonly Place[],
  things: readonly Thing[],
  costOf: (place: Place, thing: Thing, overlap: number) => number,
): { held: Held[number]; margin: number } {
  let margin = Infinity;
  const takers = places.map((): number[] => []);
  const table = things.map((thing, object) => {
    const [, cx, cy] = thing;
    const [x0, y0, x1, y1] = edgesOf(thing) as [number, number, number, number];
    const overlaps = places.map(({ box }) => iou(edgesOf(thing), box));
    const tried = places.map(({ x, y, stride }) => {
      const isInside = x > x0 && x < x1 && y > y0 && y < y1;
      const isNear = Math.abs(x - cx) < 2.5 * stride && Math.abs(y - cy) < 2.5 * stride;
      return isInside && isNear ? 2 : Number(isInside || isNear);
    });
    const costs = places.map((each, place) => {
      if (tried[place] === 0) return Infinity;
      return costOf(each, thing, overlaps[place]!) + (tried[place] === 2 ? 0 : 1e5);
    });
    const best = overlaps.filter((_, place) => tried[place]! > 0).sort((a, b) => b - a).slice(0, 10); // prettier-ignore
    const number = Math.max(1, Math.floor(sum(best)));
    const { chosen, margin: own } = least(costs, number);
    margin = Math.min(margin, own, sum(best) < 1 ? Infinity : Math.abs(sum(best) - Math.round(sum(best))));
    for (const place of chosen) if (tried[place]! > 0) takers[place]!.push(object);
    return { costs, overlaps };
  });
  const { object, margin: between } = oneEach(takers, (place) => table.map(({ costs }) => costs[place]!));
  const held = object.map((own, place) => ({ object: own, score: own < 0 ? 0 : table[own]!.overlaps[place]! }));
  return { held, margin: Math.min(margin, between) };
}

const offsets: Program = {
  channels: (classes) => 5 + classes,
  loss: (g, levels, targets, strides) => offsetLoss(g, levels, targets, strides),
  boxOf: ([dx, dy, w, h], x, y) => {
    const [cx, cy, halfW, halfH] = [dx! + x - 0.5, dy! + y - 0.5, Math.exp(w!) / 2, Math.exp(h!) / 2];
    return [cx - halfW, cy - halfH, cx + halfW, cy + halfH];
  },
  assign: (places, things, classes) =>
    byLeastCost(places, things, ({ raw }, [label], overlap) => {
      const cost = Array.from({ length: classes }, (_, c) => {
        const p = Math.sqrt(sigmoid(raw[4]!) * sigmoid(raw[5 + c]!));
        return -Math.log(c === label ? p : 1 - p);
      });
      return sum(cost) - 3 * Math.log(overlap + 1e-8);
    }),
  total: (images, { classes, images: scenes }, held) => {
    const positives = Math.max(1, held.flat().filter(({ object }) => object >= 0).length);
    const cost = images.flatMap((places, image) =>
      places.map(({ raw, box }, place) => {
        const { object, score } = held[image]![place]!;
        const any = entropy(raw[4]!, object < 0 ? 0 : 1);
        if (object < 0) return any;
        const thing = scenes[image]![object]!;
        const byClass = Array.from({ length: classes }, (_, c) => entropy(raw[5 + c]!, c === thing[0] ? score : 0));
        return any + sum(byClass) + 5 * (1 - iou(edgesOf(thing), box) ** 2);
      }),
    );
    return sum(cost) / positives;
  },
};

const bins = 6;
const mean = (scores: readonly number[]): number => {
  const shares = scores.map((score) => Math.exp(score));
  return sum(shares.map((share, i) => share * i)) / sum(shares);
};

/** Distribution focal loss, the mean of the edges. */
function binCost({ x, y, stride, raw }: Place, thing: Thing): number {
  const own = edgesOf(thing);
  const costs = [x - own[0]!, y - own[1]!, own[2]! - x, own[3]! - y].map((wanted, edge) => {
    const distance = Math.min(Math.max(wanted / stride, 0), bins - 1.01);
    const scores = raw.slice(edge * bins, (edge + 1) * bins);
    const all = Math.log(sum(scores.map((value) => Math.exp(value))));
    const [low, share] = [Math.floor(distance), distance - Math.floor(distance)];
    return all - (1 - share) * scores[low]! - share * scores[low + 1]!;
  });
  return sum(costs) / 4;
}

const distances: Program = {
  channels: (classes) => 4 * bins + classes,
  loss: (g, levels, targets, strides) => gridLoss(g, levels, targets, { strides, bins }),
  boxOf: (raw, x, y) => {
    const [left, top, right, bottom] = [0, 1, 2, 3].map((edge) => mean(raw.slice(edge * bins, (edge + 1) * bins)));
    return [x - left!, y - top!, x + right!, y + bottom!];
  },
  assign: (places, things) => {
    let margin = Infinity;
    const takers = places.map((): number[] => []);
    const table = things.map((thing, object) => {
      const [label, cx, cy, w, h] = thing;
      const [halfW, halfH] = [w, h].map((side) => (side < 8 ? 16 : side) / 2) as [number, number];
      const isInside = places.map(({ x, y }) => halfW - Math.abs(x - cx) > 1e-9 && halfH - Math.abs(y - cy) > 1e-9);
      const overlaps = places.map(({ box }, i) => (isInside[i] ? Math.max(0, ciou(edgesOf(thing), box).value) : 0));
      const fits = places.map(({ raw }, i) => sigmoid(raw[4 * bins + label]!) ** 0.5 * overlaps[i]! ** 6);
      const { chosen, margin: own } = least(fits.map((fit) => -fit), 10); // prettier-ignore
      margin = Math.min(margin, own / Math.max(...fits, 1e-30));
      for (const place of chosen) if (fits[place]! > 0) takers[place]!.push(object);
      return { overlaps, fits };
    });
    const { object, margin: between } = oneEach(takers, (place) => table.map(({ overlaps }) => -overlaps[place]!));
    const mostOf = (list: readonly number[], own: number): number => Math.max(0, ...list.filter((_, place) => object[place] === own)); // prettier-ignore
    const shares = table.map(({ overlaps, fits }, own) => mostOf(overlaps, own) / (mostOf(fits, own) + 1e-9));
    const held = object.map((own, place) => ({ object: own, score: own < 0 ? 0 : table[own]!.fits[place]! * shares[own]! })); // prettier-ignore
    return { held, margin: Math.min(margin, between) };
  },
  total: (images, { classes, images: scenes }, held) => {
    const norm = Math.max(1, sum(held.flat().map(({ score }) => score)));
    const cost = images.flatMap((places, image) =>
      places.map(({ raw, box, stride }, place) => {
        const { object, score } = held[image]![place]!;
        const thing = scenes[image]![object];
        const byClass = Array.from({ length: classes }, (_, c) => entropy(raw[4 * bins + c]!, c === thing?.[0] ? score : 0)); // prettier-ignore
        if (!thing) return 0.5 * sum(byClass);
        const own = edgesOf(thing).map((edge) => edge / stride);
        const found = box.map((edge) => edge / stride);
        // The difference is taken with k as it was.
        const boxCost = 1 - ciou(found, own, kOf.get(`${image} ${place}`)).value;
        return 0.5 * sum(byClass) + score * (7.5 * boxCost + 1.5 * binCost(places[place]!, thing));
      }),
    );
    return (images.length * sum(cost)) / norm;
  },
};
/** Generalised IoU. */
function giou(a: readonly number[], b: readonly number[]): number {
  const around = [Math.min(a[0]!, b[0]!), Math.min(a[1]!, b[1]!), Math.max(a[2]!, b[2]!), Math.max(a[3]!, b[3]!)];
  const either = areaOf(a) + areaOf(b) - bothOf(a, b);
  return iou(a, b) - (areaOf(around) - either) / areaOf(around);
}

/** Varifocal loss of one class: of the quality if it is there, else of its absence. */
function varifocal(x: number, quality: number): number {
  const p = sigmoid(x);
  return quality > 0 ? quality * entropy(x, quality) : 0.75 * p ** 2 * entropy(x, 0);
}

const qualities: Program = {
  ...distances,
  loss: (g, levels, targets, strides) => qualityLoss(g, levels, targets, { strides, bins }),
  assign: (places, things, classes) =>
    byLeastCost(places, things, ({ raw, box }, thing, overlap) => {
      const byClass = Array.from({ length: classes }, (_, c) => varifocal(raw[4 * bins + c]!, c === thing[0] ? overlap : 0)); // prettier-ignore
      return sum(byClass) + 6 * (1 - giou(edgesOf(thing), box));
    }),
  total: (images, { classes, images: scenes }, held) => {
    const positives = Math.max(1, held.flat().filter(({ object }) => object >= 0).length);
    let [byClass, boxes, edges, norm] = [0, 0, 0, 0];
    images.forEach((places, image) =>
      places.forEach((place, at) => {
        const { object, score } = held[image]![at]!;
        const thing = scenes[image]![object];
        for (let c = 0; c < classes; c++) byClass += varifocal(place.raw[4 * bins + c]!, c === thing?.[0] ? score : 0);
        if (!thing) return;
        // Held while differences are taken, as the scores' gradient is stopped here.
        const key = `${image} ${at}`;
        const share = kOf.get(`best ${key}`) ?? sigmoid(Math.max(...place.raw.slice(4 * bins)));
        norm += share;
        boxes += share * (1 - giou(edgesOf(thing), place.box));
        edges += share * binCost(place, thing);
      }),
    );
    return byClass / positives + (2 * boxes + 0.25 * edges) / Math.max(norm, 1e-6);
  },
};
/** Weights of the shapes' difference, and of places, which have no gradient, while differences are taken. */
const kOf = new Map<string, number>();

const programs = { offsets, distances, qualities };

function placesOf({ grids, classes, images, values }: Scene, { channels, boxOf }: Program): Place[][] {
  const count = channels(classes);
  return images.map((_, image) =>
    grids.flatMap(({ stride, rows, columns }, level) =>
      Array.from({ length: rows * columns }, (__, at): Place => {
        const [x, y] = [(at % columns) + 0.5, Math.floor(at / columns) + 0.5];
        const raw = Array.from({ length: count }, (___, c) => values[level]![(image * count + c) * rows * columns + at]!); // prettier-ignore
        return { x: x * stride, y: y * stride, stride, raw, box: boxOf(raw, x, y).map((each) => each * stride) };
      }),
    ),
  );
}

/** A random scene whose assignment does not hang on float32's rounding. */
function drawn(random: Random, program: Program): Scene {
  for (;;) {
    const strides = [[8, 16], [4], [8, 16, 32]][random.index(3)]!;
    const [across, down] = [1 + random.index(2), 1 + random.index(2)].map((each) => each * strides.at(-1)! * (strides.length === 1 ? 4 : 1)) as [number, number]; // prettier-ignore
    const grids = strides.map((stride) => ({ stride, rows: down / stride, columns: across / stride }));
    const classes = 1 + random.index(4);
    const images = Array.from({ length: 1 + random.index(3) }, () =>
      Array.from({ length: random.index(6) }, (): Thing => {
        const [w, h] = [across, down].map((size) => size * random.uniform(0.05, 0.9)) as [number, number];
        return [random.index(classes), random.uniform(w / 2, across - w / 2), random.uniform(h / 2, down - h / 2), w, h];
      }),
    ); // prettier-ignore
    const values = grids.map(({ rows, columns }) => Float32Array.from({ length: images.length * program.channels(classes) * rows * columns }, () => random.uniform(-1.5, 1.5))); // prettier-ignore
    const scene: Scene = { grids, classes, images, values };
    if (Math.min(...heldOf(scene, program).margins) > 1e-4) return scene;
  }
}

function heldOf(scene: Scene, program: Program): { held: Held; margins: number[] } {
  const all = placesOf(scene, program).map((places, i) => program.assign(places, scene.images[i]!, scene.classes));
  return { held: all.map((each) => each.held), margins: all.map(({ margin }) => margin) };
}

function graphOf({ grids, classes, images }: Scene, { channels, loss }: Program) {
  const shapes = Object.fromEntries(grids.map(({ rows, columns }, i) => [`level${i}`, [images.length, channels(classes), rows, columns]])); // prettier-ignore
  const { stride, rows, columns } = grids[0]!;
  const [width, height] = [columns * stride, rows * stride];
  const { labels, boxes, counts } = detectionTargets(
    images.map((things) => ({
      labels: things.map(([label]) => label),
      boxes: things.map(([, x, y, w, h]) => [x / width, y / height, w / width, h / height]),
    })),
  );
  return differentiated(shapes, Object.keys(shapes), (g, inputs) =>
    loss(
      g,
      Object.keys(shapes).map((name) => inputs[name]!),
      { labels: g.constant(labels!), boxes: g.constant(boxes!), counts: g.constant(counts!) },
      grids.map((grid) => grid.stride),
    ),
  );
}

async function check(scene: Scene, program: Program, random: Random): Promise<number> {
  const graph = graphOf(scene, program);
  const count = program.channels(scene.classes);
  const feeds = Object.fromEntries(scene.grids.map(({ rows, columns }, i) => [`level${i}`, float32(scene.values[i]!, [scene.images.length, count, rows, columns])])); // prettier-ignore
  const { held } = heldOf(scene, program);
  kOf.clear();
  const wanted = program.total(placesOf(scene, program), scene, held);
  const [loss] = Object.values(await runOnce(graph.model, feeds));
  expect(Math.abs(Number(loss!.data[0]) / wanted - 1)).toBeLessThan(2e-5);

  const gradients = await gradientValues(graph, feeds);
  placesOf(scene, program).forEach((places, image) =>
    places.forEach(({ box, stride, raw }, place) => {
      const thing = scene.images[image]![held[image]![place]!.object];
      if (!thing) return;
      const [own, found] = [edgesOf(thing), box].map((each) => each.map((edge) => edge / stride));
      kOf.set(`${image} ${place}`, ciou(found!, own!).k);
      kOf.set(`best ${image} ${place}`, sigmoid(Math.max(...raw.slice(4 * bins))));
    }),
  );
  const all = Object.values(gradients).flatMap(({ data }) => [...(data as Float32Array)]);
  const largest = Math.max(...all.map((each) => Math.abs(each)));
  const step = 1e-4;
  scene.values.forEach((values, level) => {
    const gradient = gradients[`level${level}`]!.data as Float32Array;
    for (let turn = 0; turn < 12; turn++) {
      // The largest gradients belong to places with objects.
      const at = turn < 4 ? gradient.reduce((most, each, i) => (Math.abs(each) > Math.abs(gradient[most]!) * 0.9 && random.next() < 0.5 ? i : most), 0) : random.index(values.length); // prettier-ignore
      const [up, down] = [step, -step].map((by) => {
        const moved = [...values];
        moved[at]! += by;
        const changed = scene.values.map((own, i) => (i === level ? (moved as unknown as Float32Array) : own));
        return program.total(placesOf({ ...scene, values: changed }, program), scene, held);
      }) as [number, number];
      expect(Math.abs((up - down) / (2 * step) - gradient[at]!)).toBeLessThan(2e-3 * largest);
    }
  });
  return held.flat().filter(({ object }) => object >= 0).length;
}

describe.each(Object.entries(programs))('%s', (_, program) => {
  it("have the paper's loss and gradients on random scenes", async () => {
    const random = new Random(17);
    let assigned = 0;
    for (let scene = 0; scene < 8; scene++) assigned += await check(drawn(random, program), program, random);
    expect(assigned).toBeGreaterThan(20);
  });

  it('have them without any object', async () => {
    const random = new Random(3);
    const scene = { ...drawn(random, program) };
    expect(await check({ ...scene, images: scene.images.map(() => []) }, program, random)).toBe(0);
  });

  it('have them where places and objects are alike, of which the first count', async () => {
    // A head that gives the same everywhere, and objects in the middle between places, one of them twice.
    const grids = [{ stride: 8, rows: 8, columns: 8 }];
    const classes = 2;
    const count = program.channels(classes);
    const raw = program === offsets ? [0.5, 0.5, 1.5, 1.5, 0, 0, 0] : [...Array.from({ length: 4 }, () => [0, 1, 1, 0, -2, -2]).flat(), 0, 0]; // prettier-ignore
    const images: Thing[][] = [[[0, 32, 32, 40, 40], [0, 32, 32, 40, 40]], [[1, 16, 32, 30, 30], [0, 44, 32, 24, 24]]]; // prettier-ignore
    const values = [Float32Array.from({ length: images.length * count * 64 }, (__, i) => raw[Math.floor(i / 64) % count]!)]; // prettier-ignore
    const scene: Scene = { grids, classes, images, values };
    expect(await check(scene, program, new Random(1))).toBeGreaterThan(3);
  });
});
