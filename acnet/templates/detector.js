"use strict";
// Finds lesions in photos as acnet/photos does in Python, by the same steps and numbers, in a worker
// of the page that `acnet serve --static` writes. Sizes, limits and counts come from settings.json.
//
// A picture is {width, height, data}: three bytes a pixel, red, green, blue, row by row.
// Detections are a list of {box: [left, top, right, bottom], score, index, tile}.

const f32 = Math.fround;

// Rounds as Python does: what is half way goes to the even neighbour.
function roundHalfEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

function clip(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

// --- acnet/photos/decode.py: each new pixel is a weighted sum of `many` old ones.

function areaTaps(length, newLength) {
  const step = length / newLength;
  const many = Math.ceil(step) + 1;
  const indices = new Int32Array(newLength * many);
  const weights = new Float32Array(newLength * many);
  for (let place = 0; place < newLength; place += 1) {
    const start = place * step;
    const end = Math.min(start + step, length);
    for (let tap = 0; tap < many; tap += 1) {
      const index = Math.floor(start) + tap;
      const covered = Math.min(end, index + 1) - Math.max(start, index);
      indices[place * many + tap] = clip(index, 0, length - 1);
      weights[place * many + tap] = covered < 1e-3 ? 0 : covered / (end - start);
    }
  }
  return { many, indices, weights };
}

function cubicTaps(length, newLength) {
  const many = 4;
  const a = -0.75; // OpenCV's sharpness
  const indices = new Int32Array(newLength * many);
  const weights = new Float32Array(newLength * many);
  for (let place = 0; place < newLength; place += 1) {
    const centre = (place + 0.5) * (length / newLength) - 0.5;
    const first = Math.floor(centre);
    const x = centre - first;
    const before = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
    const left = ((a + 2) * x - (a + 3)) * x * x + 1;
    const right = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1;
    weights.set([before, left, right, 1 - before - left - right], place * many);
    for (let tap = 0; tap < many; tap += 1) indices[place * many + tap] = clip(first + tap - 1, 0, length - 1);
  }
  return { many, indices, weights };
}

// The mean of what a pixel covers where the picture shrinks, a smooth curve where it grows.
function resize(picture, width, height) {
  const taps = width < picture.width || height < picture.height ? areaTaps : cubicTaps;
  const columns = taps(picture.width, width);
  const rows = taps(picture.height, height);
  const narrow = new Float32Array(picture.height * width * 3);
  for (let y = 0, to = 0; y < picture.height; y += 1) {
    for (let x = 0; x < width; x += 1, to += 3) {
      let red = 0, green = 0, blue = 0;
      for (let tap = x * columns.many; tap < (x + 1) * columns.many; tap += 1) {
        const weight = columns.weights[tap];
        const from = (y * picture.width + columns.indices[tap]) * 3;
        red += weight * picture.data[from];
        green += weight * picture.data[from + 1];
        blue += weight * picture.data[from + 2];
      }
      narrow[to] = red;
      narrow[to + 1] = green;
      narrow[to + 2] = blue;
    }
  }
  // Half a picture is rounded up where it is half way, as OpenCV does it, in this one case.
  const up = picture.width === 2 * width && picture.height === 2 * height ? 1 / 8 : 0;
  const data = new Uint8ClampedArray(width * height * 3);
  const line = new Float64Array(width * 3);
  for (let y = 0; y < height; y += 1) {
    line.fill(up);
    for (let tap = y * rows.many; tap < (y + 1) * rows.many; tap += 1) {
      const weight = rows.weights[tap];
      const from = rows.indices[tap] * width * 3;
      if (weight !== 0) for (let x = 0; x < line.length; x += 1) line[x] += weight * narrow[from + x];
    }
    for (let x = 0; x < line.length; x += 1) data[y * width * 3 + x] = roundHalfEven(f32(line[x]));
  }
  return { width, height, data };
}

function resizeBy(picture, factor) {
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, roundHalfEven(side * factor)));
  return factor === 1 ? picture : resize(picture, width, height);
}

// --- acnet/photos/results.py: by which a photo without skin is told from a face.

function yCrCb({ width, height, data }) {
  const channels = [0, 1, 2].map(() => new Float32Array(width * height));
  const half = 1 << 13;
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const [red, green, blue] = data.subarray(3 * pixel, 3 * pixel + 3);
    const y = (blue * 1868 + green * 9617 + red * 4899 + half) >> 14;
    channels[0][pixel] = y;
    channels[1][pixel] = clip((((red - y) * 11682 + half) >> 14) + 128, 0, 255);
    channels[2][pixel] = clip((((blue - y) * 9241 + half) >> 14) + 128, 0, 255);
  }
  return channels;
}

function blur(channel, width, height, sigma) {
  const reach = Math.round(4 * sigma);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, index) => Math.exp(-0.5 * ((index - reach) / sigma) ** 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let from = channel;
  for (const [length, step, others, otherStep] of [[height, width, width, 1], [width, 1, height, width]]) {
    const period = Math.max(1, 2 * (length - 1)); // beyond its borders the picture is mirrored
    const to = new Float32Array(from.length);
    for (let place = 0; place < length; place += 1) {
      for (let tap = 0; tap < weights.length; tap += 1) {
        const around = (((place + tap - reach) % period) + period) % period;
        const index = length === 1 ? 0 : Math.min(around, period - around);
        for (let other = 0; other < others; other += 1) {
          to[place * step + other * otherStep] += (weights[tap] / total) * from[index * step + other * otherStep];
        }
      }
    }
    from = to;
  }
  return from;
}

function spread(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

function percentile(rising, percent) {
  const place = (percent / 100) * (rising.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, rising.length - 1);
  return rising[low] + (place - low) * (rising[high] - rising[low]);
}

function photoTraits(photo, { long_side_px, percentiles, blurs_px }) {
  const small = resizeBy(photo, long_side_px / Math.max(photo.width, photo.height));
  const traits = [];
  for (const channel of yCrCb(small)) {
    const rising = channel.slice().sort();
    traits.push(...percentiles.map((percent) => percentile(rising, percent)), Math.log(spread(channel) + 1));
    let sharper = channel;
    for (const sigma of blurs_px) {
      const blurred = blur(channel, small.width, small.height, sigma);
      traits.push(Math.log(spread(sharper.map((value, index) => value - blurred[index])) + 0.5));
      sharper = blurred;
    }
  }
  return traits;
}

function isLike(traits, domain) {
  if (!domain) return true;
  const logs = traits.map((trait, index) => Math.log1p(((trait - domain.mean[index]) / domain.scale[index]) ** 2));
  return logs.reduce((sum, value) => sum + value, 0) / logs.length <= domain.limit;
}

// --- acnet/photos/grid.py: at which size a photo is seen, and in which tiles.

function lesionSize(found, priorPx, { lowest_score, prior }) {
  const chosen = [];
  for (const { box, score } of found) {
    const area = f32(Math.max(0, f32(box[2] - box[0])) * Math.max(0, f32(box[3] - box[1])));
    if (score >= lowest_score && area > 0) chosen.push({ log: Math.log(Math.sqrt(area)), score });
  }
  if (!chosen.length) return priorPx;
  chosen.sort((a, b) => a.log - b.log);
  const total = chosen.reduce((sum, one) => sum + one.score, 0);
  let upTo = 0;
  const median = chosen.find(({ score }) => (upTo += score) >= total / 2).log;
  return Math.exp((total * median + prior * Math.log(priorPx)) / (total + prior));
}

function withinGrowth(sizePx, longPx, { largest_growth }) {
  return Math.min(sizePx, roundHalfEven(largest_growth * longPx));
}

function firstSize(longPx, sizing) {
  if (sizing.name === "native") return longPx;
  return sizing.follows ? withinGrowth(sizing.size_px, longPx, sizing) : Number(sizing.name);
}

function followingSize(sizePx, longPx, found, sizing) {
  const trainedPx = (sizing.lesion_px * longPx) / sizing.size_px;
  const wanted = trainedPx / lesionSize(found, trainedPx, sizing);
  const factor = clip(wanted, 1 / sizing.largest_factor, sizing.largest_factor);
  const change = (sizing.size_px * factor) / sizePx;
  if (change > 1 / sizing.kept_factor && change < sizing.kept_factor) return sizePx;
  const steps = roundHalfEven(sizing.steps * Math.log2(factor));
  return withinGrowth(roundHalfEven(sizing.size_px * 2 ** (steps / sizing.steps)), longPx, sizing);
}

// Start and end of each tile along one side; sides that are cut are cut into whole tiles.
function evenTiles(lengthPx, tilePx, overlapPx) {
  const count = Math.ceil(Math.max(lengthPx - tilePx, 0) / (tilePx - overlapPx)) + 1;
  if (count === 1) return [[0, lengthPx]];
  const starts = Array.from({ length: count }, (_, index) => Math.floor((index * (lengthPx - tilePx)) / (count - 1)));
  return starts.map((start) => [start, start + tilePx]);
}

// What each tile answers for: up to the middles of the overlaps, and a little beyond.
function ownParts(spans, slackPx) {
  return spans.map((_, index) => [
    index === 0 ? -Infinity : (spans[index][0] + spans[index - 1][1]) / 2 - slackPx,
    index === spans.length - 1 ? Infinity : (spans[index + 1][0] + spans[index][1]) / 2 + slackPx,
  ]);
}

function tilesOf(width, height, { tile_px, overlap_px, slack_px }) {
  const columns = evenTiles(width, tile_px, overlap_px);
  const rows = evenTiles(height, tile_px, overlap_px);
  const across = ownParts(columns, slack_px);
  const down = ownParts(rows, slack_px);
  const tiles = rows.flatMap(([top, bottom], row) => columns.map(([left, right], column) => ({
    box: [left, top, right, bottom],
    part: [across[column][0] - left, down[row][0] - top, across[column][1] - left, down[row][1] - top],
  })));
  if (tiles.length === 1) tiles[0].part = [0, 0, width, height];
  return tiles;
}

// --- acnet/photos/merge.py: one list of detections from those of overlapping tiles.

function seesWhole(tile, box, width, height, marginPx) {
  const [left, top, right, bottom] = tile.box;
  return (left === 0 || box[0] >= left + marginPx) && (right >= width || box[2] <= right - marginPx)
    && (top === 0 || box[1] >= top + marginPx) && (bottom >= height || box[3] <= bottom - marginPx);
}

function overlap(one, other) {
  const shared = Math.max(0, Math.min(one[2], other[2]) - Math.max(one[0], other[0]))
    * Math.max(0, Math.min(one[3], other[3]) - Math.max(one[1], other[1]));
  const area = (box) => Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]);
  const union = area(one) + area(other) - shared;
  return union > 0 ? shared / union : 0;
}

function bestFirst(a, b) {
  const keys = ({ box, score, index, tile }) => [-score, box[1], box[0], box[3], box[2], index, tile];
  const [one, other] = [keys(a), keys(b)];
  const place = one.findIndex((key, at) => key !== other[at]);
  return place < 0 ? 0 : one[place] - other[place];
}

function mergeTiles(found, tiles, width, height, options) {
  const whole = (one, tile) => seesWhole(tile, one.box, width, height, options.margin_px);
  const chosen = found.filter((one) => one.score >= options.score_floor
    && (!options.drop_cut || whole(one, tiles[one.tile]) || !tiles.some((tile) => whole(one, tile))));
  const kept = [];
  for (const one of chosen.sort(bestFirst)) {
    const isSeen = kept.some((better) => better.tile !== one.tile && better.index === one.index
      && overlap(better.box, one.box) > options.iou_threshold);
    if (!isSeen) kept.push(one);
  }
  return kept.slice(0, options.max_detections);
}

// --- acnet/inference/engines.py and predictor.py

async function detectTile(run, picture, tile, settings) {
  const { tile_px, batch } = settings.tiling;
  const places = Math.max(1, batch);
  const [left, top, right, bottom] = tile.box;
  const [width, height] = [right - left, bottom - top];
  const plane = tile_px * tile_px;
  const images = new Uint8Array(places * 3 * plane);
  const order = settings.input_format === "RGB" ? [0, 1, 2] : [2, 1, 0];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = ((top + y) * picture.width + left + x) * 3;
      for (let channel = 0; channel < 3; channel += 1) {
        images[channel * plane + y * tile_px + x] = picture.data[from + order[channel]];
      }
    }
  }
  const sizes = new Float32Array(places * 2);
  sizes.set([height, width]);
  const parts = new Float32Array(places * 4);
  parts.set(tile.part);
  const { boxes, scores, classes } = await run({
    images: ["uint8", images, [places, 3, tile_px, tile_px]],
    sizes_hw: ["float32", sizes, [places, 2]],
    parts_xyxy: ["float32", parts, [places, 4]],
  });
  const found = [];
  for (let place = 0; place < scores.dims[1]; place += 1) {
    const box = [...boxes.data.subarray(4 * place, 4 * place + 4)].map((value, side) => clip(value, 0, side % 2 ? height : width));
    const one = { box, score: scores.data[place], index: Number(classes.data[place]) };
    if (one.score >= 0 && box[2] > box[0] && box[3] > box[1]) found.push(one);
  }
  return found;
}

async function seenAt(run, photo, sizePx, settings) {
  const picture = resizeBy(photo, sizePx / Math.max(photo.width, photo.height));
  const tiles = tilesOf(picture.width, picture.height, settings.tiling);
  let found = [];
  for (const [index, tile] of tiles.entries()) {
    const [left, top] = tile.box;
    settings.tell?.(index + 1, tiles.length);
    for (const one of await detectTile(run, picture, tile, settings)) {
      found.push({ ...one, box: one.box.map((value, side) => f32(value + (side % 2 ? top : left))), tile: index });
    }
  }
  if (tiles.length > 1) found = mergeTiles(found, tiles, picture.width, picture.height, settings.merge);
  if (picture === photo) return found;
  const own = [photo.width, photo.height];
  const scale = [f32(own[0] / picture.width), f32(own[1] / picture.height)];
  const bring = (value, side) => clip(f32(value * scale[side % 2]), 0, own[side % 2]);
  return found.map((one) => ({ ...one, box: one.box.map(bring) }));
}

// Sees a photo at the size that suits its lesions; returns what was found, and that size.
async function see(run, photo, settings) {
  const { sizing } = settings;
  const longPx = Math.max(photo.width, photo.height);
  let sizePx = firstSize(longPx, sizing);
  let found = await seenAt(run, photo, sizePx, settings);
  for (let pass = 1; sizing.follows && pass < sizing.passes; pass += 1) {
    const following = followingSize(sizePx, longPx, found, sizing);
    if (following === sizePx) break;
    sizePx = following;
    found = await seenAt(run, photo, sizePx, settings);
  }
  return { found, sizePx };
}

function probability(score, { scores, shares }) {
  const next = scores.findIndex((other) => other >= score);
  if (next < 0) return shares[shares.length - 1];
  if (next === 0) return shares[0];
  const part = (score - scores[next - 1]) / (scores[next] - scores[next - 1]);
  return shares[next - 1] + part * (shares[next] - shares[next - 1]);
}

// Detections as COCO results, without the photo's id.
function rowsOf(found, settings) {
  const scoreMap = settings.count_model?.probability;
  return found.map(({ box, score, index }) => ({
    category_id: index + 1,
    bbox: [box[0], box[1], f32(box[2] - box[0]), f32(box[3] - box[1])],
    score,
    ...(scoreMap ? { probability: roundHalfEven(probability(score, scoreMap) * 1e4) / 1e4 } : {}),
  }));
}

// --- The worker.

// The pixels as the file stores them, upright, on white where it is transparent. They are drawn in
// strips, because phones limit the size of a canvas.
async function readPhoto(file, mostMegapixels) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw new Error("this browser cannot read it as a picture; save it as JPEG or PNG.");
  });
  const { width, height } = bitmap;
  if (width * height > mostMegapixels * 1e6) {
    bitmap.close();
    throw new Error(`it has ${Math.round((width * height) / 1e6)} megapixels, and a browser's memory is limited; make it smaller than ${mostMegapixels}, or use acnet predict.`);
  }
  const strip = Math.min(height, Math.max(1, Math.floor((1 << 22) / width)));
  const canvas = new OffscreenCanvas(width, strip);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const data = new Uint8ClampedArray(width * height * 3);
  for (let top = 0, to = 0; top < height; top += strip) {
    const rows = Math.min(strip, height - top);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
    const rgba = context.getImageData(0, 0, width, rows).data;
    for (let from = 0; from < rgba.length; from += 4, to += 3) {
      data[to] = rgba[from];
      data[to + 1] = rgba[from + 1];
      data[to + 2] = rgba[from + 2];
    }
  }
  bitmap.close();
  return { width, height, data };
}

function cut(photo, left, top, side) {
  const data = new Uint8ClampedArray(side * side * 3);
  for (let y = 0; y < side; y += 1) {
    const from = ((top + y) * photo.width + left) * 3;
    data.set(photo.data.subarray(from, from + 3 * side), y * side * 3);
  }
  return { width: side, height: side, data };
}

// Squares around lesions that are small in the photo, as acnet/photos/draw.py cuts them.
function cropsOf(photo, rows, { crop_px, largest_share, context, most }) {
  const shorter = Math.min(photo.width, photo.height);
  const windows = rows.map(({ bbox: [x, y, width, height] }) => ({ x: x + width / 2, y: y + height / 2, side: Math.max(width, height) }));
  const small = windows.filter(({ side }) => side <= largest_share * shorter).slice(0, most);
  return small.map(({ x, y, side }) => {
    const windowPx = Math.min(Math.max(1, roundHalfEven(side * (1 + 2 * context))), Math.max(1, Math.floor(largest_share * shorter)));
    const [left, top] = [[x, photo.width], [y, photo.height]].map(([centre, length]) => clip(roundHalfEven(centre - windowPx / 2), 0, length - windowPx));
    return resize(cut(photo, left, top, windowPx), crop_px, crop_px);
  });
}

function jpegOf(pictures, columns, gapPx) {
  const { width, height } = pictures[0];
  const [across, down] = [Math.min(columns, pictures.length), Math.ceil(pictures.length / columns)];
  const canvas = new OffscreenCanvas(across * (width + gapPx) + gapPx, down * (height + gapPx) + gapPx);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (const [index, picture] of pictures.entries()) {
    const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
    for (let pixel = 0; pixel < width * height; pixel += 1) rgba.set(picture.data.subarray(3 * pixel, 3 * pixel + 3), 4 * pixel);
    const [column, row] = [index % columns, Math.floor(index / columns)];
    context.putImageData(new ImageData(rgba, width, height), gapPx + column * (width + gapPx), gapPx + row * (height + gapPx));
  }
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}

async function openModel(base, settings) {
  const address = (name) => new URL(`${name}?${settings.files[name].slice(0, 12)}`, base).href;
  const load = async (name) => {
    const answer = await fetch(address(name));
    if (!answer.ok) throw new Error(`${name} is missing beside the page (${answer.status}); put the whole folder on the server.`);
    return answer.arrayBuffer();
  };
  const { script, wasm } = settings.runtime;
  const [ort, wasmBinary, model] = await Promise.all([import(address(script)), load(wasm), load(settings.model)]);
  // One thread: more of them need headers that any web server cannot be asked for.
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary });
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"], logSeverityLevel: 3 });
  return (inputs) => session.run(Object.fromEntries(Object.entries(inputs).map(([name, one]) => [name, new ort.Tensor(...one)])));
}

async function answer(run, file, settings) {
  const start = performance.now();
  const photo = await readPhoto(file, settings.most_megapixels);
  const { found, sizePx } = await see(run, photo, settings);
  const rows = rowsOf(found, settings);
  const mayCount = isLike(photoTraits(photo, settings.traits), settings.count_model?.domain);
  const seconds = (performance.now() - start) / 1000;
  const counted = mayCount ? rows.filter(({ score }) => score >= settings.threshold) : [];
  const crops = cropsOf(photo, counted, settings.crops);
  return {
    width: photo.width,
    height: photo.height,
    rows,
    mayCount,
    sizePx,
    seconds,
    thumbnail: await jpegOf([resizeBy(photo, Math.min(1, settings.thumbnail_px / Math.max(photo.width, photo.height)))], 1, 0),
    crops: crops.length ? await jpegOf(crops, settings.crops.columns, 4) : null,
  };
}

if (typeof WorkerGlobalScope !== "undefined") {
  let opened = null;
  let settings = null;
  onmessage = async ({ data }) => {
    try {
      if (data.settings) {
        settings = { ...data.settings, tell: (tile, of) => postMessage({ tile, of }) };
        opened = openModel(data.base, settings);
        await opened;
        postMessage({ ready: true });
      } else {
        postMessage(await answer(await opened, data.file, settings));
      }
    } catch (error) {
      postMessage({ error: error.message || `${error}` });
    }
  };
}
