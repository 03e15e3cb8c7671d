"use strict";

// Shows what /_sim/state tells, again and again. Texts are set as texts, so a scenario may be called anything.

const PAUSE = 500;

function element(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function bar(share) {
  const whole = element("div", "bar");
  const fill = element("div", "fill");
  fill.style.width = Math.round(share * 100) + "%";
  whole.append(fill);
  return whole;
}

function seconds(number) {
  return number < 90 ? number.toFixed(1) + " s" : Math.floor(number / 60) + " min " + Math.round(number % 60) + " s";
}

function moment(milliseconds) {
  return new Date(milliseconds).toISOString().replace("T", " ").slice(0, 19);
}

function steps(run) {
  const list = element("div", "steps");
  for (const step of run.steps) {
    const shown = element("div", "step " + step.state);
    shown.append(element("span", "", step.name), bar(step.share));
    shown.title = step.name + ": " + step.state.toLowerCase();
    list.append(shown);
  }
  return list;
}

function runTitle(run) {
  const length = run.end ? ", " + seconds((run.end - run.start) / 1000) : "";
  return run.runId + " (" + run.trigger + "): " + (run.outcome || "running") + length;
}

function scenario(told, now) {
  const shown = element("article", "scenario");
  const name = element("div", "name", told.project + "." + told.id);
  const about = [told.name];
  if (!told.active) about.push("inactive");
  if (told.cancelledFires) about.push(told.cancelledFires + " cancelled");
  name.append(element("small", "", about.join(" · ")));
  const newest = told.runs[0];
  const state = element("div", "state " + told.state, told.state);
  if (newest && !newest.end) {
    const average = told.averageDuration === null ? "" : " of ~" + seconds(told.averageDuration);
    state.append(element("small", "faint", " " + seconds(now - newest.start / 1000) + average));
  }
  const past = element("div", "past");
  for (const run of told.runs) {
    const chip = element("span", "run " + (run.outcome || "running now"));
    chip.title = runTitle(run);
    past.append(chip);
  }
  shown.append(name, state, newest ? steps(newest) : element("div", "faint", "no run yet"), past);
  return shown;
}

function table(rows, empty) {
  if (!rows.length) return element("p", "faint", empty);
  const made = element("table");
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    for (const [className, text] of row) line.append(element("td", className, text));
    body.append(line);
  }
  made.append(body);
  return made;
}

function jobRows(jobs) {
  return jobs.map((job) => [
    ["", job.id],
    ["short " + job.state, job.state + (job.state === "RUNNING" && job.share ? " " + Math.round(job.share * 100) + " %" : "")],
  ]);
}

function faultRows(faults) {
  return faults.map((fault) => [["code", fault.fault], ["short", fault.happened + " of " + fault.seen]]);
}

function requestRows(requests) {
  return requests.map((request) => {
    const bad = request.status === null || request.status >= 400;
    const path = request.path.replace(/^\/(public\/api|dip\/publicapi)/, "");
    return [
      ["short", "#" + request.number],
      ["code", request.method + " " + path + request.faults.map((fault) => "  ⚡ " + fault.split(",")[0].slice(3)).join("")],
      ["short " + (bad ? "FAILED" : "DONE"), request.status === null ? "no answer" : String(request.status)],
    ];
  });
}

function show(told) {
  document.getElementById("clock").textContent =
    moment(told.now * 1000) + " UTC, " + seconds(told.elapsed) + " after the start · DSS " + told.dssVersion;
  document.getElementById("count").textContent = told.requests + " so far";
  document.getElementById("scenarios").replaceChildren(...told.scenarios.map((each) => scenario(each, told.now)));
  document.getElementById("jobs").replaceChildren(table(jobRows(told.jobs), "No job has been asked for."));
  document.getElementById("faults").replaceChildren(table(faultRows(told.faults), "Nothing goes wrong."));
  document.getElementById("requests").replaceChildren(table(requestRows(told.lastRequests), "None yet."));
}

async function look() {
  const lost = document.getElementById("lost");
  try {
    const answer = await fetch("/_sim/state", { cache: "no-store" });
    show(await answer.json());
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
  setTimeout(look, PAUSE);
}

look();
