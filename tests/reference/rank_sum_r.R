# Wilcoxon rank-sum test of two random groups: all sizes, with and without ties and missing values, and where all are equal. Values are whole numbers.
arguments <- commandArgs(trailingOnly = TRUE)
set.seed(13)
text <- function(values) paste(ifelse(is.na(values), "NA", values), collapse = " ")
rows <- do.call(rbind, lapply(1:300, function(case) {
  n <- if (case %% 6 == 0) sample(c(49, 50, 60, 74, 92), 2, TRUE) else sample(1:35, 2, TRUE)
  range <- c(1e6, 1e6, 40, 6)[case %% 4 + 1]
  x <- sample(range, n[1], TRUE) - 1
  y <- sample(range, n[2], TRUE) - 1 + round(range * runif(1, -0.3, 0.3))
  if (case %% 7 == 0) x[sample(n[1], 1)] <- NA
  if (case %% 50 == 0) { x[] <- 7; y[] <- 7 }
  if (all(is.na(x))) x[1] <- 1
  test <- suppressWarnings(wilcox.test(x, y))
  exact <- !grepl("continuity", test$method)
  p <- if (is.nan(test$p.value)) "NaN" else sprintf("%.17g", test$p.value)
  data.frame(case, x = text(x), y = text(y), w = sprintf("%.17g", unname(test$statistic)), p_value = p, exact)
}))
write.csv(rows, arguments[1], row.names = FALSE, quote = FALSE)
