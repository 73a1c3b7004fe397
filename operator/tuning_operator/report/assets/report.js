"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const printing = matchMedia("print");
  const config = {
    displaylogo: false,
    displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
    responsive: true,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  // Everything that depends on the page being light or dark; the figures state only what they mean.
  const template = (isDark) => {
    const [ink, grid, paper] = isDark ? ["#e6e9ed", "#353d46", "#14181d"] : ["#1c2128", "#e3e7eb", "#ffffff"];
    const axis = { gridcolor: grid, linecolor: grid, zerolinecolor: grid };
    return {
      layout: {
        font: { color: ink, size: 13, family: getComputedStyle(document.body).fontFamily },
        hoverlabel: { bgcolor: paper, bordercolor: grid, font: { color: ink } },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: ink },
        legend: { bgcolor: "rgba(0,0,0,0)" },
        annotationdefaults: { bgcolor: paper + "b0", borderpad: 0 },
        xaxis: axis,
        yaxis: axis,
        // A finger that moves over a plot scrolls the page.
        dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      },
    };
  };

  const draw = () => {
    const look = template(dark.matches && !printing.matches);
    return Promise.all(
      figures.map(({ id, data, layout }) => Plotly.react(id, data, { ...layout, template: look }, config)),
    );
  };

  // Paper is light and narrower than most screens; plotly draws for one width.
  const PAPER_WIDTH = 680;
  const onPaper = () => {
    for (const { id, data, layout } of figures) {
      const panel = document.getElementById(id).closest(".panels");
      const width = panel ? PAPER_WIDTH / 2 : PAPER_WIDTH;
      Plotly.react(id, data, { ...layout, width, template: template(false) }, config);
    }
  };

  draw();
  dark.addEventListener("change", draw);
  addEventListener("beforeprint", onPaper);
  addEventListener("afterprint", draw);
})();
