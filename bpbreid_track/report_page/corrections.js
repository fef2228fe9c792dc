"use strict";

// What corrections make of the identities: the words of corrections.py again, for a page without a server.
// An identity is {id, name, team, given, spans, crops}: given, whether its name was typed here; a span is
// [first frame, last frame, first second, last second, number it had in the run].

function corrected(identities, steps) {
  const people = new Map(identities.map((one) => [one.id, { ...one, given: false }]));
  const gone = new Map();
  let last = Math.max(0, ...people.keys());
  const get = (id) => {
    if (!people.has(id)) throw new Error(`no identity ${id}: ${gone.get(id) || "the tracks have none of this number"}`);
    return people.get(id);
  };
  const does = {
    merge(ids, number) {
      const members = ids.map(get);
      const clash = firstClash(members);
      if (clash) {
        throw new Error(`identities ${clash[1]} and ${clash[2]} are at two places at once in frame ${clash[0]}; split one of them first`);
      }
      const given = members.filter((one) => one.given);
      const first = members[0];
      first.name = (given.length ? given : members).map((one) => one.name).find(Boolean) || "";
      first.given = given.length > 0;
      const frames = {};
      for (const one of members.filter((one) => one.team)) {
        for (const span of one.spans) frames[one.team] = (frames[one.team] || 0) + span[1] - span[0] + 1;
      }
      first.team = Object.keys(frames).sort((a, b) => frames[b] - frames[a])[0] || "";
      first.spans = members.flatMap((one) => one.spans).sort((a, b) => a[0] - b[0]);
      first.crops = members.flatMap((one) => one.crops).sort((a, b) => a[0] - b[0]);
      for (const id of ids.slice(1)) {
        people.delete(id);
        gone.set(id, `correction ${number} merged it into ${ids[0]}`);
      }
    },
    split({ id, frame }) {
      const one = get(id);
      const [from, to] = [one.spans[0][0], one.spans[one.spans.length - 1][1]];
      if (!(from < frame && frame <= to)) {
        throw new Error(`identity ${id} lives from frame ${from} to ${to}; frame ${frame} leaves nothing on one side`);
      }
      const [before, after] = [[], []];
      for (const span of one.spans) {
        if (span[1] < frame) before.push(span);
        else if (span[0] >= frame) after.push(span);
        else {
          const time = span[2] + ((span[3] - span[2]) * (frame - span[0])) / (span[1] - span[0]);
          before.push([span[0], frame - 1, span[2], time, span[4]]);
          after.push([frame, span[1], time, span[3], span[4]]);
        }
      }
      last += 1;
      people.set(last, { id: last, name: one.given ? "" : one.name, team: one.team, given: one.given, spans: after, crops: one.crops.filter((crop) => crop[0] >= frame) });
      Object.assign(one, { spans: before, crops: one.crops.filter((crop) => crop[0] < frame) });
    },
    rename({ id, name }) {
      Object.assign(get(id), { name, given: true });
    },
    delete(id, number) {
      get(id);
      people.delete(id);
      gone.set(id, `correction ${number} deleted it`);
    },
  };
  steps.forEach((step, index) => {
    const [kind, what] = Object.entries(step)[0];
    try {
      if (!Object.hasOwn(does, kind)) throw new Error("unknown");
      does[kind](what, index + 1);
    } catch (error) {
      throw new Error(`correction ${index + 1} (${kind}): ${error.message}`);
    }
  });
  return { people: [...people.values()].sort((a, b) => a.id - b.id), last };
}

// [frame, identity, identity] where two of them are seen at once for the first time; null if they never are.
function firstClash(members) {
  const spans = members.flatMap((one) => one.spans.map((span) => [span[0], span[1], one.id]));
  spans.sort((a, b) => a[0] - b[0]);
  for (let i = 1; i < spans.length; i++) {
    if (spans[i][0] <= spans[i - 1][1]) return [spans[i][0], ...[spans[i - 1][2], spans[i][2]].sort((a, b) => a - b)];
  }
  return null;
}

// Who a number of the run is now, at a frame; the nearest stretch of it before that frame, or else after it.
function ownerOf(people, id, frame) {
  let best = null;
  for (const one of people) {
    for (const span of one.spans) {
      if (span[4] !== id) continue;
      const away = span[0] > frame ? 1e9 + span[0] - frame : Math.max(0, frame - span[1]);
      if (!best || away < best.away) best = { away, one };
    }
  }
  return best && best.one;
}

// Corrections by which a moment is put right; the buttons of its card.
function remedies(moment, people, last) {
  const one = ownerOf(people, moment.id, moment.frame);
  const other = moment.other === null ? null : ownerOf(people, moment.other, moment.frame);
  if (!one) return [];
  const begun = one.spans[0][0] < moment.frame;
  const parted = begun ? [{ split: { id: one.id, frame: moment.frame } }] : [];
  const found = [];
  if (other && other !== one) {
    if (moment.kind === "start" || !begun) found.push([`Merge ${other.id} and ${one.id}`, [{ merge: [other.id, one.id] }]]);
    else if (other.spans[other.spans.length - 1][1] < moment.frame) {
      found.push([`From here it is ${other.id}`, [...parted, { merge: [other.id, last + 1] }]]);
    } else if (other.spans[0][0] < moment.frame) {
      found.push([`Swap ${one.id} and ${other.id} from here`, [
        ...parted, { split: { id: other.id, frame: moment.frame } }, { merge: [one.id, last + 2] }, { merge: [other.id, last + 1] },
      ]]);
    }
  }
  if (begun) found.push([`Split ${one.id} here`, parted]);
  return found;
}

// The text of corrections.json.
function saved(data, steps) {
  const head = { format: data.format, version: data.version, source: data.source, tracks: data.tracks };
  return JSON.stringify({ ...head, corrections: steps }, null, 1) + "\n";
}

// The corrections in such a text.
function loaded(data, text) {
  const file = JSON.parse(text);
  if (!file || !Array.isArray(file.corrections)) throw new Error("not a file of corrections");
  if (file.tracks && file.tracks !== data.tracks) throw new Error("these corrections were made for another run");
  return file.corrections;
}

if (typeof module !== "undefined") module.exports = { corrected, ownerOf, remedies, saved, loaded };
